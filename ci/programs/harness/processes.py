"""What /proc knows about the processes below this one.

A load must show that the library under test is the one its program really uses. Two things are
looked at here: the tree of processes (workers and forked children included), and the files each
of them has mapped.

    runner --- server --- worker      mapped?  /proc/PID/maps names the library
                    \\---- worker      which?   /proc/PID/exe names the program

Processes that lost their parent come to the runner (it is a subreaper), so the tree below it
holds everything a load has started, and stopping that tree leaves nothing behind.
"""

import ctypes
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans():
    """Makes this process the new parent of every process below it that loses its own."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def children(pid):
    """The direct children of `pid`, those of its threads included."""
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            found += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    except OSError:
        pass  # it ended while we were looking
    return found


def below(pid):
    """Every process below `pid`, parents before their children."""
    found, queue = [], [pid]
    while queue:
        for child in children(queue.pop(0)):
            found.append(child)
            queue.append(child)
    return found


def name_of(pid):
    """The file name of the program `pid` runs; None when it is gone or has ended."""
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe")).removesuffix(" (deleted)")
    except OSError:
        return None


def maps_file(pid, file):
    """Whether `pid` has `file` mapped with code in it; None when it is gone or has ended."""
    try:
        lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    except OSError:
        return None
    if not lines:
        return None
    return any(line.endswith(" " + file) and "x" in line.split()[1] for line in lines)


class MapsWatch:
    """Samples a tree of short-lived processes while it runs.

    A process is caught between exec and the dynamic loader's work now and then, so one sample
    without the library proves nothing; a process that was never seen with it, over
    `SAMPLES_TO_ACCUSE` samples, is an offender.
    """

    SAMPLES_TO_ACCUSE = 8

    def __init__(self, root, library):
        self.root, self.library = root, library
        self.samples = {}  # (pid, program) -> samples without the library
        self.seen_mapped = set()  # the same keys, once seen with it

    def sample(self):
        for pid in [self.root, *below(self.root)]:
            key = (pid, name_of(pid))
            if key[1] is None or key in self.seen_mapped:
                continue
            mapped = maps_file(pid, self.library)
            if mapped:
                self.seen_mapped.add(key)
            elif mapped is False:
                self.samples[key] = self.samples.get(key, 0) + 1

    def programs_with_library(self):
        return {name for _, name in self.seen_mapped}

    def offenders(self):
        return sorted(
            {
                name
                for (pid, name), count in self.samples.items()
                if count >= self.SAMPLES_TO_ACCUSE and (pid, name) not in self.seen_mapped
            }
        )


def backtraces(pids, limit=3):
    """What the threads of up to `limit` processes are doing, by gdb where there is one."""
    if shutil.which("gdb") is None:
        return "(no gdb here to show where the processes stand)"
    told = []
    for pid in pids[:limit]:
        told.append(f"--- {name_of(pid)} ({pid})")
        told.append(_gdb(["-p", str(pid), "-ex", "thread apply all bt 24"]))
    return "\n".join(told)


def core_backtraces(folder, limit=2):
    """Backtraces of the core files below `folder`, empty when there are none."""
    cores = [p for p in Path(folder).rglob("core*") if _is_elf(p)]
    if cores and shutil.which("gdb") is None:
        return f"(core file {cores[0]}; no gdb here to read it)"
    return "\n".join(f"--- {core}\n{_core_backtrace(core)}" for core in cores[:limit])


def _core_backtrace(core):
    # The core knows which program it was; without that file gdb finds no symbols at all.
    told = re.search(r'AT_EXECFN .*"(.*)"', _gdb(["-ex", f"core-file {core}", "-ex", "info auxv"]))
    program = ["-ex", f"file {told[1]}"] if told else []
    return _gdb([*program, "-ex", f"core-file {core}", "-ex", "bt 24", "-ex", "x/3i $pc"])


def _is_elf(path):
    try:
        with open(path, "rb") as file:
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False  # a folder, or gone: another process that crashes just now replaces it


def _gdb(arguments):
    command = ["gdb", "-nx", "-batch", "-iex", "set debuginfod enabled off", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=60,
                              stdin=subprocess.DEVNULL, check=False)
    except subprocess.TimeoutExpired:
        return "(gdb did not answer in time)"
    noise = ("[New LWP", "warning:", "[Thread debugging", "Using host")
    return "\n".join(l for l in done.stdout.splitlines() if l and not l.startswith(noise))


def stop_everything_below(pid):
    """Kills what runs below `pid` and waits until it is gone.

    New processes may be born while the old ones are dying, hence the rounds.
    """
    for _ in range(200):
        alive = below(pid)
        for victim in alive:
            try:
                os.kill(victim, signal.SIGKILL)
            except ProcessLookupError:
                pass
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass
        if not alive:
            return
        time.sleep(0.02)
    raise RuntimeError(f"processes refuse to die: {below(pid)}")
