"""Records the golden binlogs beside it: one small file for each server that can be started here, plain and compressed,
and next to it (.txt) what the tracker makes of it. Read the difference before you commit it.

usage: python -m tests.data.record_binlogs
"""

from __future__ import annotations

from pathlib import Path

import pymysql

from common.mysql import Flavour, server_info
from common.position import Position
from dispatcher.source.transactions import Tracker
from hedgerow.sandbox.flavours import flavours_available
from hedgerow.sandbox.servers import Option, Server
from tests.unit.source.packets import frame, make_event, stream
from tests.unit.source.story import events_of_file, tell

BINLOGS = Path(__file__).parent / "binlogs"
FILE = "binlog.000001"

STATEMENTS = """
CREATE DATABASE g
USE g
SET time_zone = '+02:00'
CREATE TABLE a (id INT PRIMARY KEY, b VARCHAR(200), at TIMESTAMP NULL)
CREATE TABLE keyless (id INT, b TEXT) ENGINE=MyISAM
INSERT INTO a VALUES (1, 'x', NOW())
BEGIN
INSERT INTO a SELECT id + 1, REPEAT('compressible ', 10), NULL FROM a
SAVEPOINT s
UPDATE a SET b = CONCAT(b, '!')
ROLLBACK TO s
DELETE FROM a WHERE id = 1
COMMIT
INSERT INTO keyless VALUES (1, 'not transactional')
CREATE TABLE c AS SELECT * FROM a
CREATE TEMPORARY TABLE passing (id INT)
INSERT INTO passing VALUES (1)
DROP TEMPORARY TABLE passing
XA START 'one'
INSERT INTO a VALUES (10, 'xa', NULL)
XA END 'one'
XA PREPARE 'one'
XA COMMIT 'one'
XA START 'two', 'branch', 7
INSERT INTO a VALUES (11, 'xa', NULL)
XA END 'two', 'branch', 7
XA COMMIT 'two', 'branch', 7 ONE PHASE
XA START 'three'
INSERT INTO a VALUES (12, 'xa', NULL)
XA END 'three'
XA PREPARE 'three'
XA ROLLBACK 'three'
SET NAMES latin1
CREATE TABLE `stra\u00dfe` (x INT COMMENT '\u00e9')
/* a comment */ ALTER TABLE a ADD COLUMN k INT DEFAULT 3
TRUNCATE TABLE c
RENAME TABLE c TO d
DROP TABLE d, keyless
FLUSH BINARY LOGS
""".strip().splitlines()

FLAVOURED: dict[Flavour, list[str]] = {
    "mysql": ["SET gtid_next = 'AUTOMATIC:tag_a'", "INSERT INTO g.a (id) VALUES (77)", "SET gtid_next = 'AUTOMATIC'"],
    "mariadb": ["SET gtid_domain_id = 5", "INSERT INTO g.a (id) VALUES (77)", "SET gtid_domain_id = 0"],
}
COMPRESSED: dict[Flavour, dict[str, Option]] = {
    "mysql": {"binlog_transaction_compression": "ON"},
    "mariadb": {"log_bin_compress": "ON", "log_bin_compress_min_len": 10},
}


def story(flavour: Flavour, data: bytes) -> list[str]:
    """What the tracker says of a recorded file."""
    rotate = make_event(4, bytes(8) + FILE.encode(), log_pos=0)
    events, _ = frame(stream([rotate, *events_of_file(data)]))
    return tell(Tracker(flavour, Position(), "recorded"), events)


def record(flavour: Flavour, options: dict[str, Option], suffix: str) -> None:
    with Server(flavour, "record", options) as server:
        with server.connect() as connection, connection.cursor() as cursor:
            info = server_info(connection)
            for statement in [*STATEMENTS[:-1], *FLAVOURED[flavour], STATEMENTS[-1]]:
                try:
                    cursor.execute(statement)
                except pymysql.MySQLError as error:
                    raise SystemExit(f"{server.name}: {statement}: {error}") from error
                if statement == "SET NAMES latin1":
                    connection.encoding = "latin1"
        data = (server.directory / "data" / FILE).read_bytes()
    name = f"{flavour}-{info.version[0]}.{info.version[1]}{suffix}"
    (BINLOGS / f"{name}.bin").write_bytes(data)
    (BINLOGS / f"{name}.txt").write_text("\n".join(story(flavour, data)) + "\n", encoding="utf-8")
    print(f"{name}: {len(data)} bytes")


def main() -> None:
    for found in flavours_available():
        print(found)
        if found.available:
            record(found.flavour, {}, "")
            record(found.flavour, COMPRESSED[found.flavour], "-compressed")


if __name__ == "__main__":
    main()
