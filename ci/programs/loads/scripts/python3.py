"""Dictionaries, strings, big JSON, threads, and processes forked while threads run."""

import array
import hashlib
import json
import multiprocessing
import os
import random
import re
import sqlite3
import threading
import zlib


def churn(seed, rounds=3000):
    dice = random.Random(seed)
    live, seen = {}, hashlib.sha256()
    for step in range(rounds):
        key = f"key{dice.randrange(500)}"
        act = dice.randrange(7)
        if act == 0:
            live[key] = bytes([step & 255]) * int(dice.paretovariate(0.5) % 300_000)
        elif act == 1:
            live[key] = [str(n) * dice.randrange(1, 9) for n in range(dice.randrange(300))]
        elif act == 2:
            live[key] = {f"{key}.{n}": (n, None, n / 3) for n in range(dice.randrange(200))}
        elif act == 3:
            text = json.dumps(live.get(key), default=lambda b: b.decode("latin-1"))
            seen.update(json.dumps(json.loads(text)).encode())
        elif act == 4:
            words = re.findall(r"[0-9]+", repr(live.get(key))[:20_000])
            seen.update("".join(sorted(words)).encode())
        elif act == 5:
            seen.update(zlib.decompress(zlib.compress(repr(live.get(key)).encode()[:200_000], 1)))
        else:
            live.pop(key, None)
    seen.update(repr(sorted(live.items())).encode())
    return seen.hexdigest()


def grow():
    """Things that grow by reallocation."""
    numbers, text, data = array.array("q"), "", bytearray()
    for n in range(60_000):
        numbers.append(n * n)
        text += chr(97 + n % 26)
        data += b"xyz"
    whole = 7 ** 40_000
    return hashlib.sha256(numbers.tobytes() + text.encode() + data + whole.to_bytes(16_000, "big")).hexdigest()


def database():
    link = sqlite3.connect(":memory:")
    link.execute("create table t (id integer primary key, word text)")
    link.executemany("insert into t (word) values (?)", ((f"w{n * 7919 % 10007}" * 3,) for n in range(30_000)))
    link.execute("create index i on t (word)")
    return link.execute("select count(distinct word), max(word), sum(length(word)) from t").fetchone()


def in_process(seed):
    """What a forked child does: threads of its own, and memory that its parent allocated."""
    found = [None] * 2
    threads = [threading.Thread(target=lambda i=i: found.__setitem__(i, churn(seed * 10 + i, 700))) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    INHERITED.clear()
    return found


INHERITED = {n: bytes(n % 5000) for n in range(5000)}


def main():
    multiprocessing.set_start_method("fork")
    stop = threading.Event()

    def disturb():
        n = 0
        while not stop.is_set():
            n += 1
            _ = [bytes(size) for size in range(n % 7, 4000, 97)]

    disturbers = [threading.Thread(target=disturb, daemon=True) for _ in range(2)]
    for thread in disturbers:
        thread.start()
    for round_ in range(20):
        pid = os.fork()
        if pid == 0:
            os._exit(0 if len(INHERITED) == 5000 and json.loads(json.dumps([round_] * 1000)) else 1)
        if os.waitpid(pid, 0)[1] != 0:
            raise SystemExit(f"forked child {round_} failed")
    with multiprocessing.Pool(3, maxtasksperchild=2) as pool:
        by_processes = pool.map(in_process, range(8), chunksize=1)
    # Once no worker is forked any more: it would inherit the lines not yet written, and write them too.
    for seed, found in enumerate(by_processes):
        print("process", seed, *found)
    stop.set()
    for thread in disturbers:
        thread.join()

    found = {}
    threads = [threading.Thread(target=lambda i=i: found.__setitem__(i, churn(100 + i, 1500))) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in sorted(found):
        print("thread", seed, found[seed])

    big = {f"name{n}": {"id": n, "tags": [f"t{n % 17}", "ü" * (n % 50)], "value": n / 7} for n in range(40_000)}
    text = json.dumps(big)
    print("json", hashlib.sha256(json.dumps(json.loads(text), sort_keys=True).encode()).hexdigest())
    print("grow", grow())
    print("database", *database())


if __name__ == "__main__":
    main()
