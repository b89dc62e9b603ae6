#!/usr/bin/env python3
"""Servers under a mixed load for a long time, with kills, restarts and forks, on the library and on glibc.

    ci/soak [MINUTES] [LIB] [NAME...]    30 minutes and all of them by default

Each server works in rounds: what a round does follows from its number alone, and it ends with a fact, a digest of what the
server holds by then. On the library it works until its share of the time is over; then it does as many rounds on glibc.
A soak fails

- when a fact differs from glibc's, or from what the client knows that it wrote: something was lost;
- when a process dies that nobody killed, hangs, or complains;
- when its processes have in memory at the end what glibc's have and half as much again, and 48 MiB more: fragmentation.

A line says what a server is about to do and for how long, another one what came of it; the logs of one that fails stay in
target/soak/NAME.

Rounds kill, by SIGKILL. When its round's work is done and its fact taken, redis or PostgreSQL gets one writer more, and dies with all
its family while that writes: whatever the writer was told is written has to be there when the server starts again, and the
fact has to be what it was. MariaDB dies at rest and starts again from what it wrote, nginx loses workers, and memcached, at rest,
all it had. The Rust server, which is the command's own (`jemoxide workload`: threads, one store, a checksum), dies in the midst of
work.
"""

import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE))

from harness.processes import adopt_orphans, below, children  # noqa: E402
from harness.stage import Allocator, Failure, Stage  # noqa: E402
from harness.trial import libc_file  # noqa: E402
from loads import mariadb, memcached_server, nginx, postgresql, redis_server, web  # noqa: E402

# What logs may not say: words of the allocator, or of a death that was not ours.
COMPLAINT = re.compile(r"<jemoxide>|double free|invalid pointer|heap corruption|segmentation fault|signal 11|stack trace:", re.I)
MIB = 1 << 20


def digest(*parts):
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


class Soak:
    """A server that works in rounds. `every`: a round in so many ends with a kill."""

    every = 3

    def __init__(self, stage):
        self.stage, self.server = stage, None

    def pids(self):
        return [self.server.pid, *below(self.server.pid)]

    def kill(self):
        """Ends the server and all below it at once, as a crash of the machine's other half would."""
        pids = self.pids()
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.server.process.wait(30)

    def resident(self):
        """Bytes of memory that its processes have, shared ones counted once."""
        total = 0
        for pid in self.pids():
            try:
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            total += int(re.search(r"^Pss:\s+(\d+)", text, re.M)[1]) << 10
        return total


class Redis(Soak):
    def start(self):
        self.path = self.stage.folder / "redis.sock"
        config = self.stage.write("redis.conf", f"""
port 0
unixsocket {self.path}
dir {self.stage.make_folder("data")}
save ""
appendonly yes
appendfsync no
enable-debug-command local
lazyfree-lazy-user-del yes
logfile {self.stage.log_folder}/redis.log
""")
        self.path.unlink(missing_ok=True)
        self.server = self.stage.server("redis-server", config, ready=lambda: redis_server.Client(self.path).ask("PING"))

    def round(self, number):
        client, dice = redis_server.Client(self.path), random.Random(number)
        client.pipeline([("BGREWRITEAOF",) if number % 2 else ("BGSAVE",)])
        replies = [client.pipeline([redis_server._command(dice) for _ in range(150)]) for _ in range(20)]
        fact = client.ask("DEBUG", "DIGEST")
        if number % self.every == 2:
            told = self.kill_while_writing()
            self.start()
            client = redis_server.Client(self.path)
            if (kept := int(client.ask("GET", "soak:written") or 0)) < told:
                raise Failure(f"redis lost data at a kill: {told} writes were acknowledged, {kept} are there")
            client.pipeline([("DEL", "soak:written"), ("DEL", "soak:blobs")])
            again = client.ask("DEBUG", "DIGEST")
            if again != fact:
                raise Failure(f"redis lost data at a kill: {fact} before, {again} afterwards")
        return digest(replies, fact)

    def kill_while_writing(self):
        """How many writes were acknowledged before the kill."""
        client, told = redis_server.Client(self.path), 0

        def write():
            nonlocal told
            try:
                while True:
                    client.ask("RPUSH", "soak:blobs", "x" * (told % 5000))
                    told = int(client.ask("INCR", "soak:written"))
            except (Failure, OSError):
                pass  # the server is gone

        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(write)
            while told < 100 and not writing.done():
                time.sleep(0.01)
            if writing.done():
                raise Failure("redis: the writer ended before the kill")
            self.kill()
        return told


class Memcached(Soak):
    def start(self):
        self.path = self.stage.folder / "memcached.sock"
        self.path.unlink(missing_ok=True)
        self.server = self.stage.server("memcached", "-s", self.path, "-t", "4", "-m", "256", "-I", "4m",
                                        ready=lambda: memcached_server.Client(self.path).command("version"))

    def round(self, number):
        memcached_server.ROUNDS = 800
        with ThreadPoolExecutor(4) as pool:
            work = [pool.submit(memcached_server._work, memcached_server.Client(self.path), number * 4 + i) for i in range(4)]
            hashes = [one.result() for one in work]
        if number % self.every == 2:
            self.kill()
            self.start()
        else:
            memcached_server.Client(self.path).command("flush_all")
        return digest(hashes)


class Nginx(Soak):
    def start(self):
        if self.server is None:
            web.write_site(self.stage, "site")
            self.stage.make_folder("uploads")
        port = self.port = self.stage.free_port()
        config = self.stage.write("nginx.conf", nginx.CONFIG.format(
            folder=self.stage.folder, logs=self.stage.log_folder, port=port))

        def ready():
            web.bodies(port, [("ready", "GET", "/small.txt", {}, None)], clients=1, rounds=1)

        self.server = self.stage.server("nginx", "-p", self.stage.folder, "-c", config, "-e",
                                        self.stage.log_folder / "nginx-start.log", ready=ready)
        web.bodies(port, [r for r in nginx.requests() if r[1] == "PUT"], clients=1, rounds=1)

    def round(self, number):
        facts = web.bodies(self.port, list(nginx.requests()), clients=6, rounds=1)
        web.wrk(self.stage, self.port, "/proxied/page.txt", seconds=1)
        if number % 2:
            os.kill(self.server.pid, signal.SIGHUP)
        if number % self.every == 2:
            # Workers die; the master starts others.
            for pid in children(self.server.pid)[:1]:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.5)
        return digest(sorted(facts.items()))


class PostgreSQL(Soak):
    def start(self):
        data, run = self.stage.folder / "data", self.stage.folder / "run"
        self.where = {"PGHOST": str(run), "PGUSER": "ci", "PGDATABASE": "postgres"}
        fresh = not data.exists()
        if fresh:
            self.stage.make_folder("run")
            self.stage.command(self.tool("initdb"), "-D", data, "-U", "ci", "-A", "trust", "--locale=C", "-E", "UTF8", "--no-sync")
            self.stage.write("data/postgresql.auto.conf", f"""
listen_addresses = ''
unix_socket_directories = '{run}'
shared_buffers = 64MB
fsync = off
autovacuum_naptime = 1s
max_wal_size = 64MB
""")
        (data / "postmaster.pid").unlink(missing_ok=True)

        def ready():
            if not (data / "postmaster.pid").exists() or "ready" not in (data / "postmaster.pid").read_text():
                raise OSError("postmaster.pid does not say ready")

        self.server = self.stage.server(self.tool("postgres"), "-D", data, ready=ready)
        if fresh:
            self.ask("CREATE TABLE docs (client int, id int, body jsonb, words text, PRIMARY KEY (client, id));")
            self.stage.finish(self.bench("-i", "-s", "1", "-q"))

    def tool(self, name):
        import glob
        return os.path.join(max(glob.glob(postgresql.FOLDERS)), name)

    def ask(self, sql):
        return self.stage.command(self.tool("psql"), "-qAtX", "-v", "ON_ERROR_STOP=1", stdin=sql, env=self.where)

    def bench(self, *arguments):
        return self.stage.background(self.tool("pgbench"), *arguments, env=self.where)

    def round(self, number):
        mixed = self.stage.write("mixed.sql", postgresql.MIXED)
        loads = [self.bench("-n", "-c", "4", "-j", "2", "-t", "60", f"--random-seed={number}"),
                 self.bench("-n", "-c", "3", "-t", "10", f"--random-seed={number}", "-f", mixed),
                 self.bench("-n", "-C", "-c", "2", "-t", "15", "-S")]
        for load in loads:
            self.stage.finish(load)
        sums = ("SELECT sum(abalance), md5(string_agg(abalance::text, ',' ORDER BY aid)) FROM pgbench_accounts;"
                "SELECT count(*), sum(delta) FROM pgbench_history;"
                "SELECT md5(string_agg(body::text || md5(words), ',' ORDER BY client, id)) FROM docs;")
        fact = self.ask(sums)
        if number % self.every == 2:
            told = self.kill_while_writing()
            self.start()
            if (kept := int(self.ask("SELECT coalesce(max(id), 0) FROM written;"))) < told:
                raise Failure(f"PostgreSQL lost data at a kill: {told} rows were committed, {kept} are there")
            if (again := self.ask(sums)) != fact:
                raise Failure(f"PostgreSQL lost data at a kill:\n{fact}\n{again}")
        return digest(fact)

    def kill_while_writing(self):
        """The highest row that was committed before the kill, as the client was told; rows are numbered from 1."""
        self.ask("DROP TABLE IF EXISTS written; CREATE TABLE written (id serial PRIMARY KEY, body text);")
        rows = "INSERT INTO written (body) SELECT repeat('x', 3000) RETURNING id;\n" * 50_000
        script = self.stage.write("written.sql", rows)
        writer = self.stage.background(self.tool("psql"), "-qAtX", "-f", script, env=self.where)
        while not writer.logs[0].stat().st_size:
            time.sleep(0.01)
            writer.assert_alive()
        self.kill()
        # Its last line may be half a number; psql tells that the connection is gone by its status.
        lines = self.stage.finish(writer, expect=(1, 2, 3)).split("\n")[:-1]
        return max(map(int, lines), default=0)


class MariaDB(Soak):
    def start(self):
        data, path = self.stage.folder / "data", self.stage.folder / "mariadb.sock"
        fresh = not data.exists()
        if fresh:
            self.stage.make_folder("data")
            self.stage.command("mariadb-install-db", "--no-defaults", f"--datadir={data}", "--skip-test-db",
                               "--auth-root-authentication-method=normal")
        path.unlink(missing_ok=True)
        self.client = ("mariadb", "--no-defaults", f"--socket={path}", "--user=root", "--batch", "--skip-column-names")

        def ready():
            if not path.exists():
                raise OSError("no socket yet")

        self.server = self.stage.server(
            "mariadbd", "--no-defaults", f"--datadir={data}", f"--socket={path}", "--skip-networking",
            f"--log-error={self.stage.log_folder}/mariadbd.log", "--innodb-buffer-pool-size=64M",
            "--innodb-flush-log-at-trx-commit=2", "--thread-cache-size=0", "--group-concat-max-len=100000000", ready=ready)
        if fresh:
            # All of it survives a kill.
            self.ask(mariadb.SCHEMA.replace("ENGINE=Aria", "ENGINE=InnoDB"))

    def ask(self, sql):
        return self.stage.command(*self.client, stdin=sql)

    def round(self, number):
        loads = []
        for i in range(3):
            # A third of a client's script, another one each time.
            lines = mariadb._client_sql(i).splitlines()[number * 150 % 1200:][:150]
            script = self.stage.write(f"client{i}.sql", f"SET @c = {i};\n" + "\n".join(lines) + "\n")
            loads.append(self.stage.background(*self.client, "work", "-e", f"source {script}"))
        answers = [self.stage.finish(load) for load in loads]
        sums = ("USE work; SELECT client, COUNT(*), MD5(GROUP_CONCAT(MD5(CONCAT(body, name, doc)) ORDER BY id)) FROM items GROUP BY client;"
                "SELECT SUM(n), SUM(s) FROM totals; CHECKSUM TABLE totals, items, aria_items EXTENDED;")
        fact = self.ask(sums)
        if number % self.every == 2:
            self.kill()
            self.start()
            if (again := self.ask(sums)) != fact:
                raise Failure(f"MariaDB lost data at a kill:\n{fact}\n{again}")
        return digest(answers, fact)


class RustServer(Soak):
    """The command's own store: a process a round, and now and then one that is killed in the midst of it."""

    def start(self):
        self.server, self.high = None, 0

    def pids(self):
        return []

    def round(self, number):
        arguments = ("workload", "--threads", "4", "--keys", "4000", "--requests", "60000", "--seed", str(number), "--rest-ms", "200")
        if number % self.every == 2:
            doomed = self.stage.background(COMMAND, *arguments)
            time.sleep(0.3)
            doomed.process.kill()
            doomed.process.wait(30)
        outcome = json.loads(self.stage.command(COMMAND, *arguments).splitlines()[-1])
        if outcome["damaged"]:
            raise Failure(f"the Rust server found {outcome['damaged']} entries damaged")
        self.high = max(self.high, outcome["rss_rested"])
        return digest(outcome["content_grown"], outcome["content_rested"], outcome["entries"])

    def resident(self):
        return self.high


SOAKS = {"redis": Redis, "postgresql": PostgreSQL, "nginx": Nginx, "mariadb": MariaDB, "memcached": Memcached, "rust_server": RustServer}
COMMAND = ""


def soak(kind, allocator, folder, kept, seconds=None, rounds=None):
    """Works for `seconds`, or for `rounds`; the facts, and bytes resident at the end. Logs of a failure go to `kept`."""
    stage = Stage(allocator, folder, patience=2.0)
    facts = []
    try:
        it = kind(stage)
        it.start()
        until = time.monotonic() + (seconds or 0)
        while len(facts) < rounds if rounds else time.monotonic() < until or len(facts) < 4:
            facts.append(it.round(len(facts)))
        time.sleep(2)
        resident = it.resident()
        for log in stage.log_folder.iterdir():
            text = log.read_text(errors="replace") if log.suffix in (".err", ".log") else ""
            if found := COMPLAINT.search(text):
                raise Failure(f"{log.name} complains: {text[max(0, found.start() - 300):found.end() + 500]}")
        return facts, resident
    except (Failure, OSError, subprocess.SubprocessError) as failure:
        shutil.copytree(stage.log_folder, kept, dirs_exist_ok=True)
        raise Failure(f"  on {allocator.name}, in round {len(facts)}; its logs are in {kept}:\n  {failure}") from failure
    finally:
        stage.close()
        shutil.rmtree(folder, ignore_errors=True)


def main():
    global COMMAND
    words = sys.argv[1:]
    minutes = float(words.pop(0)) if words and re.fullmatch(r"[\d.]+", words[0]) else 30.0
    target = Path(os.environ.get("CARGO_TARGET_DIR") or HERE.parent.parent / "target")
    library = Path(words.pop(0)) if words and "/" in words[0] else target / "release" / "libjemoxide.so"
    names = words or list(SOAKS)
    commands = [path for kind in ("release", "debug") if (path := target / kind / "jemoxide").is_file()]
    if not library.is_file():
        sys.exit(f"{library} does not exist; build it with: cargo build --release")
    if unknown := set(names) - set(SOAKS):
        sys.exit(f"{', '.join(unknown)}: there are {', '.join(SOAKS)}")
    adopt_orphans()
    os.umask(0o022)
    failed = False
    with tempfile.TemporaryDirectory(prefix="soak-", ignore_cleanup_errors=True) as folder:
        folder = Path(folder).resolve()
        folder.chmod(0o755)
        copy = Path(shutil.copy(library, folder / library.name))
        copy.chmod(0o755)
        if commands:
            COMMAND = str(shutil.copy(commands[0], folder / "jemoxide"))
            os.chmod(COMMAND, 0o755)
        else:
            print("LEFT OUT rust_server: there is no target/release/jemoxide", flush=True)
            names = [name for name in names if name != "rust_server"]
        for name in names:
            # As many rounds follow on glibc: half of the share is each run's.
            seconds = minutes * 60 / len(names) / 2
            begun = time.monotonic()
            print(f"soak {name}: rounds for {seconds:.0f} s on the library, then as many on glibc ...", flush=True)
            kept = target / "soak" / name
            shutil.rmtree(kept, ignore_errors=True)
            try:
                facts, resident = soak(SOAKS[name], Allocator("library", str(copy)), folder / name, kept, seconds=seconds)
                expected, usual = soak(SOAKS[name], Allocator("glibc", libc_file()), folder / name, kept, rounds=len(facts))
                different = [i for i, pair in enumerate(zip(facts, expected)) if pair[0] != pair[1]]
                if different:
                    raise Failure(f"  rounds {different[:10]} of {len(facts)} came to something else than on glibc")
                if resident > usual * 3 / 2 + 48 * MIB:
                    raise Failure(f"  {resident / MIB:.0f} MiB in memory at the end, {usual / MIB:.0f} MiB on glibc")
                kills = len(range(2, len(facts), SOAKS[name].every))
                print(f"ok       soak {name}: {len(facts)} rounds and {kills} kills came to what they did on glibc,"
                      f" {resident / MIB:.0f} MiB at the end ({usual / MIB:.0f} on glibc), {time.monotonic() - begun:.0f} s", flush=True)
            except (Failure, OSError) as failure:
                failed = True
                print(f"FAILED   soak {name} after {time.monotonic() - begun:.0f} s\n{failure}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
