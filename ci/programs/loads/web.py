"""What nginx and Apache share: a site, a load by wrk, and the bodies a client receives."""

import gzip
import hashlib
import http.client
import random
import re
from concurrent.futures import ThreadPoolExecutor

from harness.stage import Failure

FILES = {"small.txt": 300, "page.txt": 20_000, "medium.txt": 200_000, "large.bin": 1_500_000}


def write_site(stage, folder):
    """Files of several sizes, the same on every run, and a page that includes others."""
    stage.make_folder(folder)
    dice = random.Random(5)
    words = [("".join(dice.choice("etaoinshrdlu") for _ in range(dice.randrange(2, 9)))) for _ in range(500)]
    for name, size in FILES.items():
        if name.endswith(".bin"):
            content = dice.randbytes(size)
        else:
            content = " ".join(dice.choice(words) for _ in range(size // 5)).encode()[:size]
        stage.write(f"{folder}/{name}", content)
    includes = "".join(f'<p><!--#include virtual="/{name}" --></p>\n' for name in ("small.txt", "page.txt") * 5)
    variables = "".join(f'<!--#set var="v{i}" value="{"x" * i}" --><!--#echo var="v{i}" -->' for i in range(200))
    stage.write(f"{folder}/index.shtml", f"<html>{includes}{variables}</html>")


def wrk(stage, port, path, seconds=2, connections=50, may_close=False):
    """Loads one address; every answer must be a success and no connection may break.

    `may_close`: the server ends kept-alive connections as it likes, which wrk counts as errors of
    reading; the death of a worker is told by the server's log, which the stage reads.
    """
    stage.command("wrk", "-t", "2", "-c", connections, "-d", f"{seconds}s", "--timeout", "30s",
                  "-H", "Accept-Encoding: gzip", f"http://127.0.0.1:{port}{path}",
                  timeout=60, mapped=["wrk"])
    log = stage.log_folder / f"{stage.steps:02}-wrk.out"
    text = log.read_text()
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    if broken and may_close:
        broken = any(int(broken[i]) for i in (1, 3, 4))
    if "Non-2xx" in text or broken or not re.search(r"[1-9]\d* requests in", text):
        raise Failure(f"wrk on {path}:\n{text}")


def bodies(port, requests, clients=10, rounds=2):
    """Hashes of the bodies of `requests`, fetched by several clients at once, several times.

    A request is (label, method, path, headers, body). Answers to one request must always be the same.
    """
    def client(index):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        found = {}
        order = list(requests) * rounds
        random.Random(index).shuffle(order)
        for label, method, path, headers, body in order:
            response, content = _fetch(connection, method, path, body, headers)
            if response.getheader("Content-Encoding") == "gzip":
                content = gzip.decompress(content)
            value = f"{response.status} {len(content)} {hashlib.sha256(content).hexdigest()}"
            if found.setdefault(label, value) != value:
                raise Failure(f"{method} {path} was answered with {found[label]} and with {value}")
        connection.close()
        return found

    with ThreadPoolExecutor(clients) as pool:
        found = list(pool.map(client, range(clients)))
    for other in found[1:]:
        if other != found[0]:
            raise Failure(f"two clients saw different bodies: {found[0]} and {other}")
    return found[0]


def _fetch(connection, method, path, body, headers):
    """One answer. Like a browser it asks again when a kept-alive connection was closed meanwhile."""
    for attempt in (1, 2):
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response, response.read()
        except (http.client.RemoteDisconnected, ConnectionError):
            connection.close()
            if attempt == 2:
                raise


def file_requests(prefix=""):
    """Plain, compressed and partial requests for every file of the site."""
    for name in FILES:
        yield f"{prefix}/{name}", "GET", f"{prefix}/{name}", {}, None
        yield f"{prefix}/{name} gzip", "GET", f"{prefix}/{name}", {"Accept-Encoding": "gzip"}, None
        yield f"{prefix}/{name} range", "GET", f"{prefix}/{name}", {"Range": "bytes=10-250"}, None
    yield f"{prefix}/index.shtml", "GET", f"{prefix}/index.shtml", {}, None
    yield f"{prefix}/absent", "GET", f"{prefix}/absent", {"X-Long": "y" * 3000}, None


def assert_true_to_files(stage, folder, facts):
    """What came over the wire is what lies on disk."""
    for name, size in FILES.items():
        digest = hashlib.sha256((stage.folder / folder / name).read_bytes()).hexdigest()
        for label in (f"/{name}", f"/{name} gzip"):
            if facts[label] != f"200 {size} {digest}":
                raise Failure(f"{label}: received {facts[label]}, the file has {size} {digest}")
