"""PostgreSQL: initdb, pgbench with several clients, analytical queries, pg_dump.

The end state is a function of the load: pgbench gets a seed and a number of transactions, its
updates are sums, and each client of the mixed script owns its rows. Tables are clustered before
pg_dump, so that the dump does not tell in which order clients came.
"""

import glob
import os
import re
import signal

PACKAGES = ("postgresql",)
PROGRAMS = ()  # they stand outside PATH, in a folder with the version in its name
FOLDERS = "/usr/lib/postgresql/*/bin"

MIXED = r"""
\set id random(1, 200)
\set size random(1, 20000)
BEGIN;
CREATE TEMP TABLE scratch ON COMMIT DROP AS
  SELECT g AS n, repeat(md5(g::text), 1 + g % 20) AS t FROM generate_series(1, 300) g;
INSERT INTO docs (client, id, body, words)
  SELECT :client_id, :id, jsonb_build_object('sum', sum(length(t)), 'list', jsonb_agg(left(t, 20))),
         repeat(md5(:size::text), :size / 64)
  FROM scratch
  ON CONFLICT (client, id) DO UPDATE
  SET body = docs.body || jsonb_build_object('again', :size), words = docs.words || EXCLUDED.words;
DELETE FROM docs WHERE client = :client_id AND id = (:id * 7) % 200 + 1;
END;
SELECT string_agg(md5(words), ',' ORDER BY id) FROM docs WHERE client = :client_id;
"""

# Sorts, hashes, windows, parallel workers, regular expressions, PL/pgSQL; results are facts.
QUERIES = """
SET force_parallel_mode = on; SET max_parallel_workers_per_gather = 2; SET work_mem = '4MB';
SELECT md5(string_agg(t, '')) FROM (SELECT md5(g::text) t FROM generate_series(1, 120000) g ORDER BY 1) s;
SELECT count(*), sum(a.abalance) FROM pgbench_accounts a JOIN pgbench_accounts b ON a.aid = b.aid + 1;
SELECT bid, count(DISTINCT aid % 997), sum(abalance) FROM pgbench_accounts GROUP BY bid ORDER BY 1;
SELECT md5(string_agg(r::text, ',' ORDER BY aid)) FROM
  (SELECT aid, rank() OVER (PARTITION BY aid % 100 ORDER BY abalance, aid) r FROM pgbench_accounts) w;
SET jit = on; SET jit_above_cost = 0; SET jit_inline_above_cost = 0; SET jit_optimize_above_cost = 0;
SELECT sum(abalance * 2 + aid % 7), avg(length(filler)) FROM pgbench_accounts WHERE aid % 3 = 1;
DO $$
DECLARE text_ text := ''; parts text[] := '{}';
BEGIN
  FOR i IN 1..4000 LOOP text_ := text_ || chr(97 + i % 26); parts := parts || md5(text_); END LOOP;
  CREATE TABLE spoken AS SELECT md5(array_to_string(parts, '')) AS said;
END $$;
SELECT said FROM spoken;
SELECT md5(string_agg(m[1], '')) FROM regexp_matches(repeat('lorem ipsum 42 dolor ', 4000), '([a-z]+ \\d+)', 'g') m;
"""

# Rows in order of their keys, and no times.
SETTLE = """
CLUSTER pgbench_accounts USING pgbench_accounts_pkey;
CLUSTER pgbench_tellers USING pgbench_tellers_pkey;
CLUSTER pgbench_branches USING pgbench_branches_pkey;
CLUSTER docs USING docs_pkey;
CREATE TABLE history AS SELECT tid, bid, aid, delta FROM pgbench_history ORDER BY 1, 2, 3, 4;
DROP TABLE pgbench_history;
"""


def present():
    return bool(glob.glob(FOLDERS))


def run(stage):
    folder = max(glob.glob(FOLDERS), key=lambda f: float(re.search(r"/([\d.]+)/bin", f)[1]))

    def tool(name):
        return os.path.join(folder, name)

    data, run_folder = stage.folder / "data", stage.make_folder("run")
    stage.command(tool("initdb"), "-D", data, "-U", "ci", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync",
                  timeout=120, mapped=["initdb", "postgres"])
    stage.write("data/postgresql.auto.conf", f"""
listen_addresses = ''
unix_socket_directories = '{run_folder}'
shared_buffers = 64MB
fsync = off
max_connections = 40
autovacuum_naptime = 1s
checkpoint_timeout = 30s
max_wal_size = 64MB
""")
    where = {"PGHOST": str(run_folder), "PGUSER": "ci", "PGDATABASE": "postgres"}

    def ask(sql, **more):
        return stage.command(tool("psql"), "-qAtX", "-v", "ON_ERROR_STOP=1", stdin=sql, env=where, **more)

    def ready():
        if not (data / "postmaster.pid").exists() or "ready" not in (data / "postmaster.pid").read_text():
            raise OSError("postmaster.pid does not say ready")

    def bench(*arguments, **more):
        return stage.background(tool("pgbench"), *arguments, env=where, **more)

    server = stage.server(tool("postgres"), "-D", data, ready=ready)
    ask("CREATE TABLE docs (client int, id int, body jsonb, words text, PRIMARY KEY (client, id));")
    stage.finish(bench("-i", "-s", "1", "-q"))
    mixed = stage.write("mixed.sql", MIXED)
    loads = [
        bench("-c", "8", "-j", "2", "-t", "400", "--random-seed=7", "-M", "prepared"),
        bench("-n", "-c", "6", "-j", "2", "-t", "60", "--random-seed=8", "-f", mixed),
    ]
    server.assert_mapped("postgres")
    for load in loads:
        stage.finish(load, timeout=120)
    # A new connection, hence a new process, per transaction.
    stage.finish(bench("-n", "-C", "-c", "4", "-j", "2", "-t", "60", "-S"))
    answers = ask(QUERIES, timeout=120)
    server.assert_mapped("postgres")
    ask(SETTLE)
    dump = stage.command(tool("pg_dump"), "--no-owner", env=where)
    server.stop(signal.SIGINT)
    changing = re.compile(r"^(-- (Dumped|Started|Completed)|\\(un)?restrict )")
    return {
        "answers": answers,
        "dump": "\n".join(line for line in dump.splitlines() if not changing.match(line)),
    }
