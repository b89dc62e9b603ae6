"""Ruby: strings, threads, forks, and a collector under stress."""

from pathlib import Path

PACKAGES = ("ruby",)
PROGRAMS = ("ruby",)
SCRIPT = Path(__file__).parent / "scripts" / "ruby.rb"


def run(stage):
    script = stage.write("load.rb", SCRIPT.read_bytes())
    program = Path("/usr/bin/ruby").resolve().name
    return {"output": stage.command("/usr/bin/ruby", script, timeout=120, mapped=[program])}
