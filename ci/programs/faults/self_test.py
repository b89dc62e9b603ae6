"""Runs fast loads on broken allocators; every fault must be noticed, and for its own reason.

    fault               load       what the harness must say
    none                all        nothing: the control
    wrong data, death   lua, ...   facts differ, or a program ends otherwise than it should
    a message           lua        a log holds complaints
    no symbols          lua        bindings go elsewhere
    not loadable        lua        bindings go elsewhere
    not inherited       gcc        children of the program run without the library
    hang                lua        still runs after its time
"""

import re
import subprocess
import time
from pathlib import Path

from harness.stage import Allocator, Failure
from harness.trial import Trial, assert_same, libc_file

SOURCE = Path(__file__).parent / "faulty_allocator.c"

# A broken program may die, give up, compute something else, or never find its way out.
DIED = r"ended: killed by|ended: exit status|ended early|differs|still runs after"
# Faults that may hang their program; its time is scaled down.
HANGING = {"HANG": 0.1, "OVERLAP": 0.1}
# fault, load, pattern the report must match
CASES = (
    ("NULL", "lua", DIED),
    ("CRASH", "memcached_server", r"SIGSEGV|closed the connection|ConnectionResetError|BrokenPipeError"),
    ("OVERLAP", "lua", DIED),
    ("REALLOC", "lua", DIED),
    ("CALLOC", "python3", DIED),
    ("FORK", "python3", DIED),
    ("HANG", "lua", r"still runs after"),
    ("MESSAGE", "lua", r"holds complaints"),
    ("NO_SYMBOLS", "lua", r"does not take its malloc family"),
    ("NOT_INHERITED", "gcc", r"not seen mapped in"),
    ("NOT_LOADABLE", "lua", r"does not take its malloc family"),
)


def run(modules, folder):
    """Returns the exit status for the process."""
    references, wrong = {}, []

    def trial(load, library, patience=1.0):
        bench = Trial(library, folder, patience=patience)
        if load not in references:
            references[load] = bench.facts_on(Allocator("glibc", libc_file()), load, modules[load])
        assert_same(references[load], bench.facts_on(Allocator("library", str(library)), load, modules[load]))

    for load in sorted({load for _, load, _ in CASES}):
        try:
            trial(load, build("NONE", folder))
            print(f"ok       a sound allocator passes {load}", flush=True)
        except Failure as failure:
            wrong.append(load)
            print(f"FAILED   a sound allocator does not pass {load}:\n{failure}", flush=True)

    for fault, load, pattern in CASES:
        begun = time.monotonic()
        try:
            trial(load, build(fault, folder), patience=HANGING.get(fault, 1.0))
            verdict = "was not noticed"
        except Failure as failure:
            verdict = None if re.search(pattern, str(failure)) else f"was noticed for another reason:\n{failure}"
        if verdict:
            wrong.append(fault)
        print(f"{'FAILED' if verdict else 'ok':8} fault {fault} under {load}"
              f" {verdict or 'is noticed'} ({time.monotonic() - begun:.1f} s)", flush=True)
    print(f"self-test: {len(CASES)} faults, wrong: {', '.join(wrong) or 'none'}")
    return 1 if wrong else 0


def build(fault, folder):
    library = folder / f"libfaulty_{fault.lower()}.so"
    if fault == "NOT_LOADABLE":
        library.write_text("not a library\n")
    else:
        subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-pthread", f"-DFAULT_{fault}", "-o", library, SOURCE],
                       check=True, timeout=60)
    library.chmod(0o755)
    return library
