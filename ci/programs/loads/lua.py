"""Lua: all of its objects come straight from realloc and free."""

from pathlib import Path

PACKAGES = ("lua5.4",)
PROGRAMS = ("lua5.4",)
SCRIPT = Path(__file__).parent / "scripts" / "lua.lua"


def run(stage):
    script = stage.write("load.lua", SCRIPT.read_bytes())
    return {"output": stage.command("lua5.4", script, timeout=120, mapped=["lua5.4"])}
