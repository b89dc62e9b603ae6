"""A stage: one run of one load on one allocator.

    Allocator      the file that is preloaded: the library under test, or libc for the reference
    Stage          a folder, an environment, and everything that was started in it
    command()      a program that ends by itself
    server()       one that stays until it is told to go

ST1  Every wait has an end; at the end of a wait that failed the report says where the process hung.
ST2  A program that dies, ends with an unexpected status or writes a complaint fails the stage.
ST3  Every program takes its malloc family from the stage's allocator: bindings are asked of the
     loader once per executable, /proc/PID/maps is read while it works.
ST4  When the stage closes, nothing it started is alive.

Programs run without root's rights where the runner has them, since databases insist on it. Facts
are what a load returns, a dictionary of text; the runner compares those of two stages.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from .complaints import complaints, tail
from .processes import MapsWatch, backtraces, below, core_backtraces, maps_file, name_of, stop_everything_below
from .symbols import strangers

UNPRIVILEGED = "nobody"


class Failure(Exception):
    """What went wrong on a stage, in words for the report."""


@dataclass(frozen=True)
class Allocator:
    """An allocator by the file to preload, and the options it is given; `file` is absolute and free of symbolic links."""

    name: str
    file: str
    conf: str = ""


class Server:
    """A program that was started and stays until `stop`."""

    def __init__(self, stage, label, process, logs):
        self.stage, self.label, self.process, self.logs = stage, label, process, logs
        self.pid = process.pid

    def assert_mapped(self, *programs):
        """Fails unless this process and all below it have the allocator mapped.

        `programs`: names that must be among them, so that a worker missing altogether is noticed.
        """
        seen = set()
        for pid in [self.pid, *below(self.pid)]:
            name, mapped = name_of(pid), maps_file(pid, self.stage.allocator.file)
            if mapped is False:
                time.sleep(0.2)  # it may be between fork and exec, or on its way out
                name, mapped = name_of(pid), maps_file(pid, self.stage.allocator.file)
            if mapped is False:
                raise Failure(f"{self.label}: process {name} ({pid}) does not have the allocator mapped")
            if mapped:
                seen.add(name)
        if not set(programs) <= seen:
            raise Failure(f"{self.label}: expected processes {set(programs) - seen}, saw {seen}")

    def assert_alive(self):
        status = self.process.poll()
        if status is not None:
            raise Failure(self.stage.describe(f"{self.label} ended early, {status_text(status)}", self.logs))

    def stop(self, sig=signal.SIGTERM, timeout=60, expect=(0,)):
        """Asks the server to end, and waits until it and all below it have."""
        self.assert_alive()
        os.kill(self.pid, sig)
        self.stage.wait(self.label, self.process, timeout, expect, self.logs)


class Stage:
    """See the head of this file."""

    def __init__(self, allocator, folder, patience=1.0):
        self.allocator, self.folder = allocator, Path(folder)
        self.patience = patience  # scales every timeout
        self.harmless = None  # pattern of log lines that are no complaint
        self.log_folder = self.folder / "logs"
        self.steps = 0
        self.bound = set()
        self.user = UNPRIVILEGED if os.geteuid() == 0 else None
        for path in (self.folder, self.log_folder, self.folder / "tmp"):
            path.mkdir(parents=True)
            self.give(path)

    # --- files and addresses -------------------------------------------------------------------

    def give(self, path):
        """Hands a file or folder to the user that the programs run as."""
        if self.user:
            shutil.chown(path, self.user, group_of(self.user))
        return path

    def make_folder(self, name):
        path = self.folder / name
        path.mkdir(parents=True, exist_ok=True)
        return self.give(path)

    def write(self, name, content):
        path = self.folder / name
        if isinstance(content, str):
            content = content.encode()
        path.write_bytes(content)
        return self.give(path)

    @staticmethod
    def free_port():
        """A loopback TCP port nobody listens on at the moment."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    def environment(self, extra=None):
        keep = {k: os.environ[k] for k in ("PATH", "MALLOC_CONF") if k in os.environ}
        return keep | {
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder / "tmp"),
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "LD_PRELOAD": self.allocator.file,
            **({"JEMOXIDE_CONF": self.allocator.conf} if self.allocator.conf else {}),
        } | (extra or {})

    # --- programs ------------------------------------------------------------------------------

    def command(self, *argv, timeout=120, expect=(0,), stdin=None, env=None, cwd=None, mapped=()):
        """Runs a program to its end and returns its standard output, as text.

        `stdin` is text or None; `mapped`: program names that must have been seen with the
        allocator mapped while the command ran (give it to commands that run for a while).
        """
        label, process, logs = self._start(argv, env, cwd, stdin)
        watch = MapsWatch(process.pid, self.allocator.file) if mapped else None
        self.wait(label, process, timeout, expect, logs, watch)
        if watch:
            missing = set(mapped) - watch.programs_with_library()
            if missing or watch.offenders():
                raise Failure(
                    f"{label}: the allocator was not seen mapped in {sorted(missing)};"
                    f" long without it: {watch.offenders()}"
                )
        return logs[0].read_text(errors="replace")

    def server(self, *argv, ready, timeout=60, env=None, cwd=None):
        """Starts a program that stays, and waits until `ready()` returns without OSError."""
        label, process, logs = self._start(argv, env, cwd, None)
        server = Server(self, label, process, logs)
        deadline = time.monotonic() + timeout * self.patience
        while True:
            server.assert_alive()
            try:
                ready()
                return server
            except OSError as error:
                if time.monotonic() > deadline:
                    raise Failure(
                        self.describe(f"{label} is not ready after {timeout} s: {error}", logs)
                        + "\n" + backtraces([process.pid, *below(process.pid)])
                    ) from None
                time.sleep(0.05)

    def background(self, *argv, env=None, cwd=None):
        """Starts a program that ends by itself, to be awaited with `finish`."""
        label, process, logs = self._start(argv, env, cwd, None)
        return Server(self, label, process, logs)

    def finish(self, started, timeout=120, expect=(0,)):
        """Waits for a `background` program; returns its standard output."""
        self.wait(started.label, started.process, timeout, expect, started.logs)
        return started.logs[0].read_text(errors="replace")

    def wait(self, label, process, timeout, expect, logs, watch=None):
        deadline = time.monotonic() + timeout * self.patience
        while True:
            if watch:
                watch.sample()
            try:
                status = process.wait(0.015 if watch else 0.5)
                break
            except subprocess.TimeoutExpired:
                if time.monotonic() > deadline:
                    raise Failure(
                        self.describe(f"{label} still runs after {timeout * self.patience:.0f} s", logs)
                        + "\n" + backtraces([process.pid, *below(process.pid)])
                    ) from None
        if status not in expect:
            raise Failure(self.describe(f"{label} ended: {status_text(status)}", logs))

    def _start(self, argv, env, cwd, stdin):
        argv = [str(a) for a in argv]
        self.steps += 1
        label = f"{self.steps:02}-{os.path.basename(argv[0])}"
        out, err = (self.log_folder / f"{label}.{kind}" for kind in ("out", "err"))
        self._check_bindings(argv[0], env)
        with open(out, "wb") as out_file, open(err, "wb") as err_file:
            source = subprocess.DEVNULL
            if stdin is not None:
                source = open(self.write(f"logs/{label}.in", stdin), "rb")
            process = subprocess.Popen(
                argv, stdin=source, stdout=out_file, stderr=err_file,
                env=self.environment(env), cwd=cwd or self.folder, **self._identity(),
            )
            if stdin is not None:
                source.close()
        (self.log_folder / f"{label}.cmd").write_text(" ".join(argv) + "\n")
        return label, process, (out, err)

    def _identity(self):
        if not self.user:
            return {}
        return {"user": self.user, "group": group_of(self.user), "extra_groups": []}

    def _check_bindings(self, executable, env):
        """Asks the loader where `executable` finds the malloc family (rule ST3)."""
        path = shutil.which(executable) or executable
        if path in self.bound or not is_dynamic(path):
            return
        self.bound.add(path)
        # LD_TRACE_LOADED_OBJECTS with LD_WARN and LD_BIND_NOW relocates everything, and leaves
        # before the program's own first instruction.
        probe = {"LD_TRACE_LOADED_OBJECTS": "1", "LD_WARN": "1", "LD_BIND_NOW": "1", "LD_DEBUG": "bindings"}
        done = subprocess.run(
            [path], env=self.environment((env or {}) | probe), capture_output=True, stdin=subprocess.DEVNULL,
            text=True, errors="replace", timeout=60, check=False, cwd=self.folder, **self._identity(),
        )
        (self.log_folder / f"bindings-{os.path.basename(path)}.txt").write_text(done.stderr)
        elsewhere, here = strangers(done.stderr, self.allocator.file)
        if elsewhere or not here:
            raise Failure(
                f"{executable} does not take its malloc family from {self.allocator.file}"
                f" ({here} symbols do):\n" + tail("\n".join(elsewhere))
            )

    # --- the end -------------------------------------------------------------------------------

    def describe(self, headline, logs):
        """A report on a program that failed: what it last wrote, and where it crashed."""
        parts = [headline]
        for log in logs:
            text = log.read_text(errors="replace")
            if text.strip():
                parts.append(f"  {log.name}:\n{tail(text)}")
        cores = core_backtraces(self.folder)
        return "\n".join(parts + ([cores] if cores else []))

    def check_logs(self):
        """Fails when any log or standard error holds a complaint (rule ST2)."""
        for log in sorted(self.log_folder.iterdir()):
            if log.suffix not in (".err", ".log"):
                continue
            found = complaints(log.read_text(errors="replace"), self.harmless)
            if found:
                raise Failure(f"{log.name} holds complaints:\n" + tail("\n".join(found)))

    def close(self):
        stop_everything_below(os.getpid())


def is_dynamic(path):
    """Whether `path` is an ELF file that asks for a dynamic loader (scripts are not)."""
    with open(path, "rb") as file:
        head = file.read(4096)
    return head[:4] == b"\x7fELF" and b"/ld-linux" in head


def group_of(user):
    return pwd.getpwnam(user).pw_gid


def status_text(status):
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"
