"""memcached: several connections with a mix of commands, each reply checked against a model."""

import hashlib
import random
import socket
from concurrent.futures import ThreadPoolExecutor

from harness.stage import Failure

PACKAGES = ("memcached",)
PROGRAMS = ("memcached",)
CONNECTIONS = 8
ROUNDS = 6000


def run(stage):
    path = stage.folder / "memcached.sock"
    server = stage.server("memcached", "-s", path, "-t", "4", "-m", "512", "-I", "4m", "-c", "200",
                          ready=lambda: Client(path).command("version"))
    server.assert_mapped("memcached")
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        hashes = list(pool.map(lambda i: _work(Client(path), i), range(CONNECTIONS)))
    _connection_churn(path)
    server.assert_mapped("memcached")
    server.stop()
    return {f"connection {i}": value for i, value in enumerate(hashes)}


def _connection_churn(path):
    """Connections come and go with requests larger than their first buffers."""
    for round_ in range(5):
        clients = [Client(path) for _ in range(60)]
        for i, client in enumerate(clients):
            client.store("set", f"churn{i}", b"c" * (1000 * i + round_))
        keys = [f"churn{i}" for i in range(60)]
        for client in clients:
            if {k: len(v) for k, v in client.get(*keys).items()} != {f"churn{i}": 1000 * i + round_ for i in range(60)}:
                raise Failure("memcached returned other values than were stored")


def _work(client, index):
    """Random commands on keys of this connection's own; returns a hash of what is there at the end."""
    dice = random.Random(index)
    model = {}
    for step in range(ROUNDS):
        key = f"{index}:{dice.randrange(500)}"
        value = bytes([97 + step % 26]) * int(dice.paretovariate(0.6) % 60000)
        act = dice.choice(("set", "set", "get", "get", "gets", "append", "prepend", "delete", "add", "incr", "touch"))
        if act == "set" or (act == "add" and key not in model):
            answer, wanted = client.store(act, key, value), "STORED"
            model[key] = value
        elif act == "add":
            answer, wanted = client.store(act, key, value), "NOT_STORED"
        elif act in ("append", "prepend"):
            extra = value[:200]
            if key in model:
                wanted = "STORED"
                model[key] = model[key] + extra if act == "append" else extra + model[key]
            else:
                wanted = "NOT_STORED"
            answer = client.store(act, key, extra)
        elif act in ("get", "gets"):
            others = [f"{index}:{dice.randrange(500)}" for _ in range(10)]
            answer = client.get(key, *others, verb=act)
            wanted = {k: model[k] for k in (key, *others) if k in model}
        elif act == "delete":
            answer = client.command(f"delete {key}")
            wanted = "DELETED" if model.pop(key, None) is not None else "NOT_FOUND"
        elif act == "touch":
            answer = client.command(f"touch {key} 0")
            wanted = "TOUCHED" if key in model else "NOT_FOUND"
        else:
            client.store("set", key, b"41")
            model[key] = b"42"
            answer, wanted = client.command(f"incr {key} 1"), "42"
        if answer != wanted:
            raise Failure(f"memcached: step {step} of connection {index}, {act} {key}: got {answer!r:.300}")
    final = client.get(*sorted(model))
    if final != model:
        raise Failure(f"memcached: connection {index} ends with other data than it wrote")
    seen = hashlib.sha256()
    for key in sorted(final):
        seen.update(key.encode() + final[key])
    return seen.hexdigest()


class Client:
    """Speaks memcached's text protocol over a Unix socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rb")

    def command(self, line):
        self.socket.sendall(line.encode() + b"\r\n")
        return self._line()

    def store(self, verb, key, value):
        self.socket.sendall(f"{verb} {key} 0 0 {len(value)}\r\n".encode() + value + b"\r\n")
        return self._line()

    def get(self, *keys, verb="get"):
        self.socket.sendall(f"{verb} {' '.join(keys)}\r\n".encode())
        found = {}
        while (line := self._line()) != "END":
            _, key, _, length = line.split()[:4]
            found[key] = self.file.read(int(length) + 2)[:-2]
        return found

    def _line(self):
        line = self.file.readline()
        if not line:
            raise Failure("memcached closed the connection")
        return line[:-2].decode()
