"""Apache: its threaded server with compression, includes, CGI, a proxy to itself, graceful restarts."""

import os
import signal
import urllib.request

from harness.stage import Failure

from . import web

PACKAGES = ("apache2", "wrk")
PROGRAMS = ("apache2", "wrk")
MODULES = (
    "mpm_event authz_core mime dir deflate filter include alias cgid env headers proxy proxy_http rewrite "
    "setenvif substitute"
).split()

CONFIG = """
ServerRoot {folder}
ServerName ci.invalid
PidFile {folder}/apache2.pid
DefaultRuntimeDir {folder}
Mutex file:{folder}/tmp default
ErrorLog {logs}/apache2.log
LogLevel warn
LogFormat "%t %r %>s %b %{{User-Agent}}i" long
CustomLog {folder}/access.txt long
Listen 127.0.0.1:{port}
{modules}
StartServers 3
ThreadsPerChild 40
MinSpareThreads 40
MaxSpareThreads 160
MaxRequestWorkers 240
MaxKeepAliveRequests 300
ScriptSock {folder}/cgid
PassEnv LD_PRELOAD
TypesConfig /dev/null
AddType text/plain .txt
AddType text/html .shtml
AddOutputFilter INCLUDES .shtml
AddOutputFilterByType DEFLATE text/plain text/html
DocumentRoot {folder}/site
ScriptAlias /cgi/ {folder}/cgi/
<Directory {folder}>
  Options +Includes +FollowSymLinks +ExecCGI
  Require all granted
</Directory>
ProxyPass /proxied/ http://127.0.0.1:{port}/ disablereuse=on
RewriteEngine on
RewriteRule ^/moved/(.*)$ /$1 [PT]
<Location /rewritten/>
  ProxyPass http://127.0.0.1:{port}/ disablereuse=on
  RequestHeader unset Accept-Encoding
  AddOutputFilterByType SUBSTITUTE text/plain
  Substitute s/the/THE/n
  SubstituteMaxLineLength 10m
</Location>
"""

# Reads all of its input before it answers: the server sends the whole body first.
SCRIPT = '#!/bin/sh\nprintf "Content-Type: text/x-digest\\n\\n"\nexec sha256sum\n'


def run(stage):
    web.write_site(stage, "site")
    stage.make_folder("cgi")
    stage.write("cgi/digest", SCRIPT).chmod(0o755)
    port = stage.free_port()
    modules = "\n".join(f"LoadModule {m}_module /usr/lib/apache2/modules/mod_{m}.so" for m in MODULES)
    config = stage.write("apache2.conf", CONFIG.format(
        folder=stage.folder, logs=stage.log_folder, port=port, modules=modules))

    def ready():
        urllib.request.urlopen(f"http://127.0.0.1:{port}/small.txt", timeout=5).read()

    server = stage.server("apache2", "-f", config, "-DFOREGROUND", ready=ready)
    server.assert_mapped("apache2")
    for path in ("/page.txt", "/index.shtml", "/proxied/page.txt"):
        web.wrk(stage, port, path, connections=30, may_close=True)
    facts = web.bodies(port, list(requests()))
    os.kill(server.pid, signal.SIGUSR1)  # graceful restart
    if web.bodies(port, list(requests()), clients=6) != facts:
        raise Failure("bodies differ after a graceful restart")
    server.assert_mapped("apache2")
    web.assert_true_to_files(stage, "site", facts)
    server.stop()
    return facts


def requests():
    for prefix in ("", "/proxied", "/moved", "/rewritten"):
        yield from web.file_requests(prefix)
    for size in (10, 50_000, 700_000):
        yield f"cgi {size}", "POST", "/cgi/digest", {}, bytes(i * 3 % 253 for i in range(size))
