"""Records the golden binlogs beside it: one small file for each server that can be started here, plain and compressed,
and next to it (.txt) what the tracker makes of it. Read the difference before you commit it.

usage: python -m tests.data.record_binlogs [plain] [compressed] [sessions]   record these again (default: all)
       python -m tests.data.record_binlogs --retell                          only the .txt files, of what is recorded
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
from pymysql.connections import Connection

from hedgerow.common.binlog.position import Position
from hedgerow.common.mysql.connect import Flavour, server_info
from hedgerow.dispatcher.source.transactions import Tracker
from hedgerow.sandbox.flavours import flavours_available
from hedgerow.sandbox.servers import Option, Server
from tests.unit.dispatcher.source.packets import frame, make_event, stream
from tests.unit.dispatcher.source.story import events_of_file, tell

BINLOGS = Path(__file__).parent / "binlogs"
FILE = "binlog.000001"


@dataclass(frozen=True)
class Fails:
    """Is executed in part, or not at all: the server answers with this error."""

    error: int
    statement: str


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
# What a session can do to the meaning of a DDL statement, and what the servers make of it in the binlog.
SESSIONS: dict[Flavour | None, list[str | bytes | Fails]] = {
    None: [
        "CREATE DATABASE g",
        "USE g",
        "CREATE TABLE usual (a INT)",
        "SET foreign_key_checks = 0, unique_checks = 0, sql_auto_is_null = 1, explicit_defaults_for_timestamp = 0",
        "CREATE TABLE flags (a TIMESTAMP)",
        "SET foreign_key_checks = 1, unique_checks = 1, sql_auto_is_null = 0, explicit_defaults_for_timestamp = 1",
        "SET auto_increment_increment = 10, auto_increment_offset = 3",
        "ALTER TABLE usual ADD id INT AUTO_INCREMENT PRIMARY KEY",
        "SET auto_increment_increment = 1, auto_increment_offset = 1",
        "SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'",
        'CREATE TABLE "mode" ("a" CHAR(9) DEFAULT \'\\\')',
        "SET sql_mode = DEFAULT, time_zone = '+03:00', lc_time_names = 'de_DE'",
        "CREATE TABLE zone (a TIMESTAMP NULL DEFAULT '2020-01-01', b CHAR(9) DEFAULT (MONTHNAME('2020-05-05')))",
        "SET lc_time_names = 'en_US', collation_server = 'latin1_bin', collation_database = 'latin2_bin'",
        "CREATE DATABASE h",
        "SET collation_server = DEFAULT, collation_database = DEFAULT",
        "SET timestamp = 1600000000.123456",
        "ALTER TABLE usual ADD at DATETIME(6) DEFAULT NOW(6)",
        "SET timestamp = DEFAULT",
        "CREATE VIEW v AS SELECT 1",
        "CREATE PROCEDURE p() SELECT 1",
        "SET NAMES latin1",
        b"CREATE TABLE `stra\xdfe` (a CHAR(9) CHARACTER SET latin1 DEFAULT _latin1'\xe9', b INT COMMENT '\xc3\x81')",
        b"CREATE TABLE `als\xdf` AS SELECT '\xe9' AS `\xe9`",
        b"CREATE TEMPORARY TABLE t (`\xdf` INT)",
        b"CREATE TABLE `wie\xdf` LIKE t",
        b"CREATE VIEW `sicht\xdf` (`\xe9`, b) AS SELECT '\xdf', 1",
        b"CREATE USER 'm\xfcller'",
        b"CREATE DEFINER = `m\xfcller` VIEW `des\xdf` AS SELECT '\xdf'",
        b"CREATE DEFINER = `m\xfcller` TRIGGER `tr\xdf` BEFORE INSERT ON `wie\xdf` FOR EACH ROW SET @x = '\xe9'",
        b"CREATE DEFINER = `m\xfcller` PROCEDURE `proz\xdf` (`\xdf` INT) NO SQL COMMENT '\xe9' SELECT '\xdf'",
        b"DROP TABLE `stra\xdfe`, `als\xdf`",
        "SET NAMES binary",
        "CREATE TABLE `grö` (a CHAR(3) CHARACTER SET utf8mb4 DEFAULT 'ä')",
        "SET NAMES gbk",
        b"CREATE TABLE `\x95\x5c\x95\x60` (a CHAR(9) CHARACTER SET gbk DEFAULT '\x95\x5c')",
        "SET NAMES utf8mb4",
    ],
    "mariadb": [
        "SET check_constraint_checks = 0, system_versioning_insert_history = 1, sql_if_exists = 1",
        "CREATE TABLE more_flags (a INT)",
        "SET check_constraint_checks = 1, system_versioning_insert_history = 0, sql_if_exists = 0",
        "SET NAMES utf8mb4 COLLATE utf8mb4_uca1400_ai_ci",
        "CREATE TABLE uca (a INT)",
        "SET NAMES utf8mb4 COLLATE utf8mb4_nopad_bin",
        "CREATE TABLE nopad (a INT)",
        "SET skip_replication = 1",
        "CREATE TABLE skipped (a INT)",
        "SET skip_replication = 0",
        Fails(1051, "DROP TABLE uca, missing"),
        Fails(4092, "DROP VIEW v, missing"),
        "CREATE SEQUENCE s",
        Fails(4091, "DROP SEQUENCE s, missing"),
        "SET binlog_alter_two_phase = 1",
        "ALTER TABLE nopad ADD b INT",
        "INSERT INTO nopad VALUES (1, 1), (1, 1)",
        Fails(1062, "ALTER TABLE nopad ADD UNIQUE (a)"),
    ],
    "mysql": [
        "SET sql_require_primary_key = 1",
        "CREATE TABLE keyed (a INT PRIMARY KEY)",
        "SET sql_require_primary_key = 0, sql_generate_invisible_primary_key = 1, NAMES latin1",
        b"CREATE TABLE hidden (`\xdf` INT)",
        "SET sql_generate_invisible_primary_key = 0, NAMES utf8mb4 COLLATE utf8mb4_0900_bin",
        "SET default_collation_for_utf8mb4 = utf8mb4_general_ci",
        "CREATE DATABASE i CHARACTER SET utf8mb4",
        Fails(1051, "DROP TABLE keyed, missing"),
    ],
}
# Groups that a server logs though it rolls them back: a temporary table was made in them (MariaDB), or a table without
# transactions was changed (both; MySQL only without GTIDs).
ROLLED_BACK = """
CREATE DATABASE g
USE g
CREATE TABLE a (id INT PRIMARY KEY)
CREATE TABLE keyless (id INT) ENGINE=MyISAM
BEGIN
INSERT INTO a VALUES (1)
CREATE TEMPORARY TABLE passing (id INT)
ROLLBACK
BEGIN
INSERT INTO a VALUES (2)
SAVEPOINT `a b`
INSERT INTO a VALUES (3)
CREATE TEMPORARY TABLE passing_too (id INT)
ROLLBACK TO `A B`
INSERT INTO a VALUES (4)
COMMIT
BEGIN
INSERT INTO a VALUES (5)
INSERT INTO keyless VALUES (5)
ROLLBACK
BEGIN
SAVEPOINT s
INSERT INTO a VALUES (6)
INSERT INTO keyless VALUES (6)
ROLLBACK TO SAVEPOINT s
ROLLBACK
FLUSH BINARY LOGS
""".strip().splitlines()
WITHOUT_GTIDS: dict[Flavour, dict[str, Option]] = {
    "mysql": {"gtid_mode": "OFF", "enforce_gtid_consistency": "OFF"},
    "mariadb": {},
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


def record(
    flavour: Flavour, options: dict[str, Option], suffix: str, statements: Sequence[str | bytes | Fails]
) -> None:
    with Server(flavour, "record", options) as server:
        with server.connect() as connection:
            info = server_info(connection)
            for statement in statements:
                execute(connection, server.name, statement)
                if isinstance(statement, str) and statement.startswith("SET NAMES"):
                    connection.encoding = "latin1" if statement.endswith("latin1") else "utf8"
        data = (server.directory / "data" / FILE).read_bytes()
    path = BINLOGS / f"{flavour}-{info.version[0]}.{info.version[1]}{suffix}.bin"
    path.write_bytes(data)
    print(f"{path.stem}: {len(data)} bytes")
    retell(path)


def execute(connection: Connection[Any], server: str, statement: str | bytes | Fails) -> None:
    failing = statement.error if isinstance(statement, Fails) else 0
    text = statement.statement if isinstance(statement, Fails) else statement
    found = 0
    try:
        connection.query(text)  # bytes are sent as they are
    except pymysql.MySQLError as error:
        found = error.args[0]
    if found != failing:
        raise SystemExit(f"{server}: {text!r} ended with error {found}")


def flavour_of(path: Path) -> Flavour:
    return "mysql" if path.name.startswith("mysql") else "mariadb"


def retell(path: Path) -> None:
    lines = story(flavour_of(path), path.read_bytes())
    path.with_suffix(".txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main(arguments: Sequence[str]) -> None:
    if "--retell" in arguments:
        for path in sorted(BINLOGS.glob("*.bin")):
            retell(path)
        return
    wanted = [argument for argument in arguments if not argument.startswith("-")] or [
        "plain",
        "compressed",
        "sessions",
        "rolled-back",
    ]
    for found in flavours_available():
        print(found)
        if found.available:
            flavour = found.flavour
            usual = [*STATEMENTS[:-1], *FLAVOURED[flavour], STATEMENTS[-1]]
            if "plain" in wanted:
                record(flavour, {}, "", usual)
            if "compressed" in wanted:
                record(flavour, COMPRESSED[flavour], "-compressed", usual)
            if "rolled-back" in wanted:
                record(flavour, WITHOUT_GTIDS[flavour], "-rolled-back", ROLLED_BACK)
            if "sessions" in wanted:
                record(flavour, {}, "-sessions", [*SESSIONS[None], *SESSIONS[flavour], STATEMENTS[-1]])


if __name__ == "__main__":
    main(sys.argv[1:])
