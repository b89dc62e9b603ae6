"""A trial: one load on glibc's malloc, then on the library, and the facts of both compared.

T1  A load that fails on the library fails the trial, at once.
T2  A load that fails on glibc says nothing about the library: the reference runs again, up to
    REFERENCE_RUNS times in all, and every failure of it is told loudly, whatever the end is.
"""

import ctypes
import difflib
import os
import shutil
import time
from dataclasses import replace

from .stage import Allocator, Failure, Stage

REFERENCE = "glibc"
REFERENCE_RUNS = 3


class Trial:
    """Runs loads in `folder`, on the library with the options `conf`; `compare` off leaves out the reference run.

    Both runs use the same folder, one after the other: what a program writes may hold its path.
    """

    def __init__(self, library, folder, compare=True, patience=1.0, conf=""):
        self.folder, self.patience = folder, patience
        self.allocators = [Allocator("library", str(library), conf)]
        if compare:
            self.allocators.insert(0, Allocator(REFERENCE, libc_file()))

    def run(self, name, module):
        """Returns the seconds each run took; raises Failure."""
        facts, seconds = [], []
        for allocator in self.allocators:
            begun = time.monotonic()
            runs = REFERENCE_RUNS if allocator.name == REFERENCE else 1
            facts.append(self.facts_in(runs, allocator, name, module))
            seconds.append(time.monotonic() - begun)
        for other in facts[1:]:
            assert_same(facts[0], other)
        return seconds

    def facts_in(self, runs, allocator, name, module):
        """What the first run of the load that ends well computed, of at most `runs`."""
        for run in range(1, runs):
            try:
                return self.facts_on(allocator, name, module)
            except Failure as failure:
                times = "once" if run == 1 else f"{run} times"
                print(f"!!! {name}: the reference failed {times}:\n{failure}\n  it runs again", flush=True)
        return self.facts_on(allocator, name, module)

    def facts_on(self, allocator, name, module):
        """One run of the load, and what it computed."""
        folder = self.folder / name
        if allocator.conf and hasattr(module, "OPTIONS"):
            allocator = replace(allocator, conf=f"{allocator.conf},{module.OPTIONS}")
        stage = Stage(allocator, folder, self.patience)
        try:
            try:
                facts = module.run(stage)
                stage.check_logs()
            except Failure:
                raise
            except Exception as error:
                # Whatever trips a load, a broken connection or an answer it cannot read, comes from
                # the program; say what that wrote.
                raise Failure(f"{type(error).__name__}: {error}\n" + last_words(stage)) from error
        except Failure as failure:
            raise Failure(f"  on {allocator.name} ({allocator.file}):\n  {failure}") from failure
        finally:
            stage.close()
            # The name is needed again by the next run; the logs stay for whoever asked to keep them.
            kept = self.folder / f"{name}-on-{allocator.name}"
            shutil.rmtree(kept, ignore_errors=True)
            os.rename(folder, kept)
        if not facts or not all(facts.values()):
            raise Failure(f"  the load returned no facts: {facts}")
        return facts


def last_words(stage):
    logs = sorted(p for p in stage.log_folder.iterdir() if p.suffix in (".err", ".log"))
    return stage.describe("last words:", logs)


def assert_same(reference, facts):
    """Fails with the first differences between two dictionaries of facts."""
    for key in sorted(reference.keys() | facts.keys()):
        a, b = reference.get(key, ""), facts.get(key, "")
        if a != b:
            lines = difflib.unified_diff(a.splitlines(), b.splitlines(), "on glibc", "on the library", n=1, lineterm="")
            shown = "\n".join("    " + line[:200] for line, _ in zip(lines, range(20)))
            raise Failure(f"  {key} differs:\n{shown}")


def libc_file():
    """The C library this very process uses, free of symbolic links."""
    class Info(ctypes.Structure):
        _fields_ = [("file", ctypes.c_char_p), ("base", ctypes.c_void_p),
                    ("symbol", ctypes.c_char_p), ("address", ctypes.c_void_p)]

    libc, info = ctypes.CDLL("libc.so.6"), Info()
    if not libc.dladdr(ctypes.cast(libc.malloc, ctypes.c_void_p), ctypes.byref(info)):
        raise OSError("dladdr does not know malloc")
    return os.path.realpath(info.file.decode())
