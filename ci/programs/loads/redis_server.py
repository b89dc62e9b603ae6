"""Redis: benchmark clients, forks for snapshots, lazy freeing in other threads, one known data set.

Debian links its Redis with libjemalloc; the bindings check of the stage shows that malloc and
friends come from the preloaded library all the same. The data set is written command by command
through pipelines; all replies and DEBUG DIGEST (over every key, type and value) are facts, before
and after a restart from the snapshot.
"""

import hashlib
import random
import re
import shutil
import socket
import time
from pathlib import Path

from harness.stage import Failure

PACKAGES = ("redis-server", "redis-tools")
PROGRAMS = ("redis-server", "redis-cli", "redis-benchmark")


def run(stage):
    path = stage.folder / "redis.sock"
    config = stage.write("redis.conf", f"""
port 0
unixsocket {path}
dir {stage.make_folder("data")}
save ""
daemonize no
enable-debug-command local
lazyfree-lazy-user-del yes
lazyfree-lazy-user-flush yes
logfile {stage.log_folder}/redis.log
""")

    def start():
        return stage.server("redis-server", config, ready=lambda: Client(path).ask("PING"))

    server = start()
    _benchmark(stage, server, path)
    replies = _write_data_set(Client(path))
    client = Client(path)
    digest = client.ask("DEBUG", "DIGEST")
    client.ask("DEBUG", "RELOAD")
    reloaded = client.ask("DEBUG", "DIGEST")
    client.ask("SAVE")
    server.stop()
    server = start()
    restarted = Client(path).ask("DEBUG", "DIGEST")
    server.stop()
    if not digest == reloaded == restarted:
        raise Failure(f"digests differ: {digest} in memory, {reloaded} reloaded, {restarted} restarted")
    return {"digest": digest, "replies": replies}


def _benchmark(stage, server, path):
    """Many clients at once, while snapshots and the append-only rewrite fork the server."""
    bench = ("redis-benchmark", "-s", path, "-q", "-c", "50")
    stage.command(*bench, "-n", "60000", "-P", "16", "-r", "20000", "-d", "200",
                  "-t", "set,get,incr,lpush,rpop,sadd,hset,zadd,spop,mset", mapped=["redis-benchmark"])
    client = Client(path)
    program = Path(shutil.which("redis-server")).resolve().name  # Debian's is a link to a many-in-one
    load = stage.background(*bench, "-n", "150000", "-P", "8", "-r", "50000", "-d", "512", "-t", "set,lpush")
    for command in ("BGSAVE", "BGREWRITEAOF", "BGSAVE"):
        client.ask(command)
        server.assert_mapped(program)
        while re.search("(bgsave|rewrite)_in_progress:1", client.ask("INFO", "persistence")):
            client.ask("PING")
            time.sleep(0.01)
    stage.finish(load)
    latency = stage.command("redis-cli", "-s", path, "--raw", "--latency", "-i", "1").split()
    if len(latency) < 3:
        raise Failure(f"redis-cli --latency said {latency}")
    persistence = client.ask("INFO", "persistence")
    for line in ("rdb_last_bgsave_status:ok", "aof_last_bgrewrite_status:ok"):
        if line not in persistence:
            raise Failure(f"{line} is not what the server says:\n{persistence}")
    stage.command(*bench, "-n", "50000", "-P", "32", "INCR", "counted")
    if int(client.ask("GET", "counted")) < 50000:  # full pipelines may send a few more than asked
        raise Failure("redis-benchmark sent 50000 INCR and more, the counter disagrees")
    client.ask("FLUSHALL", "ASYNC")


def _write_data_set(client):
    """The same commands on every run; the hash of all replies comes back."""
    dice = random.Random(20)
    seen = hashlib.sha256()
    for _ in range(300):
        for reply in client.pipeline([_command(dice) for _ in range(200)]):
            seen.update(repr(reply).encode())
    script = (
        "local t = {} for i = 1, 20000 do t[i] = cjson.encode({id = i, name = 'n' .. i}) end"
        " redis.call('SET', 'lua', table.concat(t, ',')) return #t"
    )
    for _ in range(5):
        seen.update(repr(client.ask("EVAL", script, "0")).encode())
    return seen.hexdigest()


def _command(dice):
    number = dice.randrange(400)
    text = chr(97 + number % 26) * int(dice.paretovariate(0.7) % 5000 + 1)
    field, score = f"f{dice.randrange(300)}", str(dice.randrange(1000))
    return dice.choice((
        ("SET", f"s{number}", text),
        ("APPEND", f"s{number}", text[:100]),
        ("SETRANGE", f"s{number}", score, text[:300]),
        ("GETDEL", f"s{number}"),
        ("INCRBY", f"i{number}", score),
        ("HSET", f"h{number}", field, text, field + "x", score),
        ("HDEL", f"h{number}", field),
        ("LPUSH", f"l{number}", text, score),
        ("RPOPLPUSH", f"l{number}", f"l{(number * 7) % 400}"),
        ("LTRIM", f"l{number}", "0", "40"),
        ("SADD", f"t{number}", field, score, text[:50]),
        ("SREM", f"t{number}", score),
        ("SUNIONSTORE", f"t{number}", f"t{number}", f"t{(number * 3) % 400}"),
        ("ZADD", f"z{number}", score, field, "7", text[:40]),
        ("ZINCRBY", f"z{number}", "3", field),
        ("ZREMRANGEBYRANK", f"z{number}", "60", "-1"),
        ("SETBIT", f"b{number}", str(dice.randrange(80000)), "1"),
        ("PFADD", f"p{number}", field, text[:20]),
        ("XADD", f"x{number}", "MAXLEN", "50", f"{dice.randrange(10**6)}-1", field, text),
        ("UNLINK", f"{dice.choice('shltz')}{number}"),
        ("GET", f"s{number}"),
        ("HLEN", f"h{number}"),
        ("ZRANGE", f"z{number}", "0", "5", "WITHSCORES"),
    ))


class Client:
    """Speaks the Redis protocol (RESP2) over a Unix socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rb")

    def ask(self, *words):
        reply = self.pipeline([words])[0]
        if isinstance(reply, Error):
            if str(reply).startswith("LOADING"):
                raise OSError(str(reply))
            raise Failure(f"Redis answers {' '.join(words)[:80]} with: {reply}")
        return reply

    def pipeline(self, commands):
        request = bytearray()
        for words in commands:
            request += b"*%d\r\n" % len(words)
            for word in words:
                request += b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode())
        self.socket.sendall(request)
        return [self._reply() for _ in commands]

    def _reply(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise Failure("Redis closed the connection")
        kind, rest = line[:1], line[1:-2].decode(errors="replace")
        if kind == b"-":
            return Error(rest)
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == "-1" else self.file.read(int(rest) + 2)[:-2].decode(errors="replace")
        if kind == b"*":
            return None if rest == "-1" else [self._reply() for _ in range(int(rest))]
        return rest


class Error(str):
    """An error reply; part of the data like any other when commands are pipelined."""
