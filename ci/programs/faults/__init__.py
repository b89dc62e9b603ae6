"""Allocators that are broken on purpose, and the proof that the harness notices."""
