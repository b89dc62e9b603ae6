"""nginx: static files, compression, server-side includes, a proxy with a cache, uploads, a reload."""

import os
import signal
import time
import urllib.request

from harness.processes import children
from harness.stage import Failure

from . import web

PACKAGES = ("nginx", "wrk")
PROGRAMS = ("nginx", "wrk")

CONFIG = """
daemon off;
worker_processes 2;
worker_shutdown_timeout 10s;
pid {folder}/nginx.pid;
error_log {logs}/nginx.log warn;
events {{ worker_connections 512; }}
http {{
  client_body_temp_path {folder}/tmp/body; proxy_temp_path {folder}/tmp/proxy;
  fastcgi_temp_path {folder}/tmp/fastcgi; uwsgi_temp_path {folder}/tmp/uwsgi; scgi_temp_path {folder}/tmp/scgi;
  proxy_cache_path {folder}/cache keys_zone=cache:1m;
  types {{ text/plain txt; text/html shtml; application/octet-stream bin; }}
  default_type application/octet-stream;
  log_format long '$time_iso8601 $request $status $body_bytes_sent "$http_user_agent" $request_id';
  access_log {folder}/access.txt long;
  gzip on; gzip_types text/plain; gzip_min_length 100; gzip_proxied any;
  client_max_body_size 20m; client_body_buffer_size 16k;
  keepalive_requests 500;
  upstream self {{ server 127.0.0.1:{port}; keepalive 8; }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    root {folder}/site;
    location / {{ ssi on; }}
    location /proxied/ {{ proxy_pass http://self/; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    location /cached/ {{ proxy_pass http://self/; proxy_cache cache; proxy_cache_valid 200 1s; }}
    location /rewritten/ {{ proxy_pass http://self/; proxy_set_header Accept-Encoding "";
      sub_filter_types text/plain; sub_filter_once off; sub_filter 'the' 'THE'; sub_filter 'in' '[in]'; }}
    location /uploads/ {{ dav_methods PUT DELETE; create_full_put_path on; root {folder}; }}
  }}
}}
"""


def run(stage):
    web.write_site(stage, "site")
    stage.make_folder("uploads")
    port = stage.free_port()
    config = stage.write("nginx.conf", CONFIG.format(folder=stage.folder, logs=stage.log_folder, port=port))

    def ready():
        urllib.request.urlopen(f"http://127.0.0.1:{port}/small.txt", timeout=5).read()

    server = stage.server("nginx", "-p", stage.folder, "-c", config, "-e", stage.log_folder / "nginx-start.log",
                          ready=ready)
    server.assert_mapped("nginx")
    for path in ("/page.txt", "/proxied/page.txt", "/index.shtml"):
        web.wrk(stage, port, path)
    # Once alone, so that the file exists and every later upload replaces it.
    web.bodies(port, [r for r in requests() if r[1] == "PUT"], clients=1, rounds=1)
    facts = web.bodies(port, list(requests()))
    before = set(children(server.pid))
    os.kill(server.pid, signal.SIGHUP)
    facts_again = web.bodies(port, list(requests()))
    if facts != facts_again:
        raise Failure("bodies differ after a reload")
    _wait_for_new_workers(server, before)
    web.wrk(stage, port, "/cached/medium.txt", seconds=1)
    server.assert_mapped("nginx")
    web.assert_true_to_files(stage, "site", facts)
    server.stop(signal.SIGQUIT)
    return facts


def _wait_for_new_workers(server, before):
    deadline = time.monotonic() + 30
    while before & set(children(server.pid)):
        if time.monotonic() > deadline:
            raise Failure("the old workers did not leave after a reload")
        time.sleep(0.05)


def requests():
    for prefix in ("", "/proxied", "/cached", "/rewritten"):
        yield from web.file_requests(prefix)
    upload = bytes(i * 7 % 251 for i in range(300_000))
    yield "upload", "PUT", "/uploads/same.bin", {}, upload
    yield "what was uploaded", "GET", "/uploads/same.bin", {}, None
