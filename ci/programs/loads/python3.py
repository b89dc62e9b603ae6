"""CPython: threads, forking pools, JSON, dictionaries; on its own arenas and with every object from malloc."""

from pathlib import Path

PACKAGES = ("python3",)
PROGRAMS = ("python3",)
SCRIPT = Path(__file__).parent / "scripts" / "python3.py"


def run(stage):
    script = stage.write("load.py", SCRIPT.read_bytes())
    python = Path("/usr/bin/python3")
    program = python.resolve().name
    facts = {}
    for way in ("default", "malloc"):
        facts[way] = stage.command(python, script, timeout=150, mapped=[program],
                                   env={"PYTHONMALLOC": way, "PYTHONHASHSEED": "0"})
    return facts
