"""Node.js: buffers, strings, JSON, compression and worker threads."""

from pathlib import Path

PACKAGES = ("nodejs",)
PROGRAMS = ("node",)
SCRIPT = Path(__file__).parent / "scripts" / "node.js"


def run(stage):
    script = stage.write("load.js", SCRIPT.read_bytes())
    return {
        "output": stage.command("node", script, timeout=120, mapped=["node"]),
        # A small young generation: garbage is collected all the time.
        "output, small heap": stage.command("node", "--max-semi-space-size=1", script, timeout=120, mapped=["node"]),
    }
