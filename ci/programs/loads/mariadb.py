"""MariaDB: a fresh data folder, several clients with temporary tables and routines, checksums and a dump.

Each client owns its rows; what they share is only added to, so the end state does not depend on
their order.
"""

import random

from harness.stage import Failure

PACKAGES = ("mariadb-server",)
PROGRAMS = ("mariadbd", "mariadb", "mariadb-install-db", "mariadb-dump")
CLIENTS = 4

SCHEMA = """
CREATE DATABASE work; USE work;
CREATE TABLE totals (k INT PRIMARY KEY, n BIGINT NOT NULL, s DECIMAL(30, 4) NOT NULL) ENGINE=InnoDB;
INSERT INTO totals SELECT seq, 0, 0 FROM seq_0_to_19;
CREATE TABLE items (client INT, id INT, name VARCHAR(300), body MEDIUMTEXT, doc JSON,
  PRIMARY KEY (client, id), KEY (name), FULLTEXT KEY (body)) ENGINE=InnoDB;
CREATE TABLE aria_items (client INT, id INT, name TEXT, PRIMARY KEY (client, id)) ENGINE=Aria;
DELIMITER //
CREATE FUNCTION scramble(t TEXT, n INT) RETURNS TEXT DETERMINISTIC BEGIN
  DECLARE r TEXT DEFAULT t; DECLARE i INT DEFAULT 0;
  WHILE i < n DO SET r = CONCAT(MD5(r), LEFT(r, 100)); SET i = i + 1; END WHILE; RETURN r; END//
CREATE PROCEDURE summarise(IN who INT) BEGIN
  CREATE OR REPLACE TEMPORARY TABLE t1 ENGINE=MEMORY AS SELECT id, CHAR_LENGTH(body) n FROM items WHERE client = who;
  CREATE OR REPLACE TEMPORARY TABLE t2 AS
    SELECT a.id, SUM(b.n) n, GROUP_CONCAT(b.id ORDER BY b.id) ids FROM t1 a JOIN t1 b ON b.id <= a.id GROUP BY a.id;
  SELECT COUNT(*), SUM(n), MD5(GROUP_CONCAT(ids ORDER BY id)) FROM t2;
  DROP TEMPORARY TABLE t1, t2; END//
DELIMITER ;
"""

QUERIES = """
USE work; SET SESSION group_concat_max_len = 100000000, sort_buffer_size = 65536, tmp_memory_table_size = 65536;
SELECT MD5(GROUP_CONCAT(m ORDER BY m)) FROM (SELECT MD5(seq) m FROM seq_1_to_60000) s;
SELECT client, COUNT(*), SUM(CHAR_LENGTH(body)), MD5(GROUP_CONCAT(MD5(body) ORDER BY id)) FROM items GROUP BY client;
SELECT client, id, RANK() OVER (PARTITION BY client ORDER BY CHAR_LENGTH(body), id) r FROM items ORDER BY r, client, id LIMIT 50;
WITH RECURSIVE f (n, a, b) AS (SELECT 1, CAST(1 AS DECIMAL(40)), CAST(1 AS DECIMAL(40)) UNION ALL
  SELECT n + 1, b, a + b FROM f WHERE n < 150) SELECT MAX(a) FROM f;
SELECT COUNT(*), SUM(JSON_LENGTH(doc)), SUM(JSON_VALUE(doc, '$.deep.n')) FROM items;
SELECT COUNT(*) FROM items WHERE body REGEXP '(a[a-f]+){2,}[0-9]+b';
SELECT XML_ FROM (SELECT EXTRACTVALUE(CONCAT('<a>', REPEAT('<b>x</b>', 2000), '</a>'), 'count(/a/b)') XML_) x;
CALL summarise(1);
ALTER TABLE items ADD COLUMN extra VARCHAR(50) DEFAULT 'e', ADD KEY (extra, id), ALGORITHM=COPY;
ANALYZE TABLE items;
CHECKSUM TABLE totals, items, aria_items EXTENDED;
"""


def run(stage):
    data, path = stage.folder / "data", stage.folder / "mariadb.sock"
    stage.make_folder("data")
    stage.command("mariadb-install-db", "--no-defaults", f"--datadir={data}", "--skip-test-db",
                  "--auth-root-authentication-method=normal", timeout=120, mapped=["mariadbd"])

    def ready():
        if not path.exists():
            raise OSError("no socket yet")

    server = stage.server(
        "mariadbd", "--no-defaults", f"--datadir={data}", f"--socket={path}", "--skip-networking",
        f"--pid-file={stage.folder}/pid", f"--log-error={stage.log_folder}/mariadbd.log",
        "--innodb-buffer-pool-size=64M", "--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync",
        "--thread-cache-size=0", "--query-cache-type=ON", "--query-cache-size=8M", "--group-concat-max-len=100000000",
        ready=ready, timeout=120)

    client = ("mariadb", "--no-defaults", f"--socket={path}", "--user=root", "--batch", "--skip-column-names")

    def ask(sql, **more):
        return stage.command(*client, stdin=sql, **more)

    ask(SCHEMA)
    loads = []
    for i in range(CLIENTS):
        script = stage.write(f"client{i}.sql", _client_sql(i))
        loads.append(stage.background(*client, "work", "-e", f"source {script}"))
    server.assert_mapped("mariadbd")
    answers = {f"client {i}": stage.finish(load, timeout=120) for i, load in enumerate(loads)}
    answers["queries"] = ask(QUERIES, timeout=120)
    server.assert_mapped("mariadbd")
    dump = stage.command("mariadb-dump", "--no-defaults", f"--socket={path}", "--user=root", "--skip-dump-date",
                         "--order-by-primary", "--routines", "work")
    if dump.count("INSERT INTO") < 3:
        raise Failure("the dump lacks tables")
    server.stop()
    return answers | {"dump": dump}


def _client_sql(client):
    dice = random.Random(client)
    lines = []
    for step in range(500):
        key, length = dice.randrange(60), int(dice.paretovariate(0.8) % 200)
        lines.append(
            f"INSERT INTO items VALUES ({client}, {key}, REPEAT('n{step} ', {dice.randrange(1, 60)}),"
            f" scramble('{step}', {length % 40 + 1}), JSON_OBJECT('a', JSON_ARRAY({','.join(map(str, range(length)))}),"
            f" 'deep', JSON_OBJECT('n', {step})))"
            " ON DUPLICATE KEY UPDATE body = LEFT(CONCAT(items.body, VALUES(body)), 60000),"
            " doc = JSON_MERGE_PATCH(items.doc, VALUES(doc)), name = VALUES(name);"
        )
        lines.append(f"UPDATE totals SET n = n + {step}, s = s + {step} / 7 WHERE k = {dice.randrange(20)};")
        lines.append(f"REPLACE INTO aria_items VALUES ({client}, {key}, REPEAT('{step}', {length}));")
        if step % 11 == 0:
            lines.append(f"DELETE FROM items WHERE client = {client} AND id = {dice.randrange(60)};")
        if step % 20 == 0:
            lines.append(f"CALL summarise({client});")
            lines.append("START TRANSACTION; "
                         f"UPDATE items SET body = REVERSE(body) WHERE client = {client}; ROLLBACK;")
            lines.append(f"PREPARE p FROM 'SELECT COUNT(*), MAX(LENGTH(name)) FROM items WHERE client = ?';"
                         f" SET @c = {client}; EXECUTE p USING @c; DEALLOCATE PREPARE p;")
    return "\n".join(lines) + "\n"
