"""What every load needs: a stage to run on, eyes on /proc, and a nose for complaints."""
