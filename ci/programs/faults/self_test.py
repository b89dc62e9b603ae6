"""Runs fast loads on broken allocators; every fault must be noticed, and for its own reason.

    fault               load       what the harness must say
    none                all        nothing: the control
    wrong data, death   lua, ...   facts differ, or a program ends otherwise than it should
    a message           lua        a log holds complaints
    no symbols          lua        bindings go elsewhere
    not loadable        lua        bindings go elsewhere
    not inherited       gcc        children of the program run without the library
    hang                lua        still runs after its time

And a load of its own, which fails as often as it is told: on the reference it gets further chances, on
the library none.
"""

import re
import subprocess
import time
from pathlib import Path

from harness.stage import Allocator, Failure
from harness.trial import REFERENCE, REFERENCE_RUNS, Trial, assert_same, libc_file

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

# allocator, how often the load fails on it, whether the trial passes
CHANCES = (
    (REFERENCE, REFERENCE_RUNS - 1, True),
    (REFERENCE, REFERENCE_RUNS, False),
    ("library", 1, False),
)


class FailingLoad:
    """A load that fails its first `failures` runs on the allocator `name`."""

    def __init__(self, name, failures):
        self.name, self.failures = name, failures

    def run(self, stage):
        if stage.allocator.name == self.name and self.failures > 0:
            self.failures -= 1
            raise Failure("on purpose")
        return {"fact": "holds"}


def run(modules, folder):
    """Returns the exit status for the process."""
    references, wrong = {}, []

    def trial(load, library, patience=1.0):
        bench = Trial(library, folder, patience=patience)
        if load not in references:
            reference = Allocator(REFERENCE, libc_file())
            references[load] = bench.facts_in(REFERENCE_RUNS, reference, load, modules[load])
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
    for name, failures, passes in CHANCES:
        load = FailingLoad(name, failures)
        try:
            Trial(build("NONE", folder), folder).run("failing_load", load)
            verdict = None if passes else "passed"
        except Failure as failure:
            verdict = f"failed:\n{failure}" if passes else None
        if verdict:
            wrong.append(f"{failures} failures on {name}")
        print(f"{'FAILED' if verdict else 'ok':8} a load that fails {failures} times on {name}"
              f" {verdict or ('passes' if passes else 'fails')}", flush=True)
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
