"""What table maps say of every column type, and whether the rules on differing columns agree with what servers do."""

from __future__ import annotations

import struct
import time
from base64 import b64encode
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import pymysql
import pytest

from hedgerow.common.binlog import events as e
from hedgerow.common.binlog.position import Position
from hedgerow.common.binlog.table_map import MappedColumn, read_table_map, table_name
from hedgerow.common.mysql.catalog import charsets_by_collation
from hedgerow.common.mysql.connect import Flavour, connect, server_info
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.dispatcher.sink.columns.shapes import differences
from hedgerow.dispatcher.sink.columns.tables import read_shapes
from hedgerow.dispatcher.source.reader import Reader
from hedgerow.sandbox.servers import ServerPair
from tests.conftest import StartPair
from tests.fidelity.columns import columns_of

pytestmark = pytest.mark.timeout(180)

METADATA = {"mariadb": ("NO_LOG", "MINIMAL", "FULL"), "mysql": ("MINIMAL", "FULL")}
_AROUND = (
    "y YEAR, {}, u INT UNSIGNED, b BIT(3), t VARCHAR(5) CHARACTER SET latin1, d DECIMAL(5,1) UNSIGNED, "
    "e ENUM('a','B','it''s','back\\\\slash','c,d','new\\nline'), s SET('x','ü') CHARACTER SET latin1"
)
_ODD: dict[Flavour, tuple[str, ...]] = {
    "mysql": (
        "CREATE TABLE z.expression (id INT PRIMARY KEY, a INT UNSIGNED, b VARCHAR(20), INDEX ((a + 1)))",
        "ALTER TABLE z.expression ADD COLUMN c INT NOT NULL DEFAULT 1, ADD COLUMN d VARCHAR(3) NULL",
        "CREATE TABLE z.multi (id INT PRIMARY KEY, j JSON, a INT UNSIGNED, INDEX ((CAST(j AS UNSIGNED ARRAY))))",
        "ALTER TABLE z.multi ADD COLUMN d VARCHAR(3) NOT NULL DEFAULT 'x'",
        "SET sql_generate_invisible_primary_key = 1",
        "CREATE TABLE z.hidden_key (id INT, b INT UNSIGNED)",
        "SET sql_generate_invisible_primary_key = 0",
        "CREATE TABLE z.parts (id INT, b VARCHAR(5)) PARTITION BY HASH (id) PARTITIONS 3",
    ),
    "mariadb": (
        "CREATE TABLE z.versioned (id INT PRIMARY KEY, a INT UNSIGNED) WITH SYSTEM VERSIONING",
        "SET system_versioning_alter_history = KEEP",
        "ALTER TABLE z.versioned ADD COLUMN c INT NOT NULL DEFAULT 1",
        "CREATE TABLE z.explicit (id INT PRIMARY KEY, rs TIMESTAMP(6) GENERATED ALWAYS AS ROW START, "
        "re TIMESTAMP(6) GENERATED ALWAYS AS ROW END, b VARCHAR(5), PERIOD FOR SYSTEM_TIME (rs, re)) "
        "WITH SYSTEM VERSIONING",
        "CREATE TABLE z.hashed (id INT PRIMARY KEY, b TEXT, a INT UNSIGNED, UNIQUE (b))",
        "ALTER TABLE z.hashed ADD COLUMN c INT NOT NULL DEFAULT 1, ADD COLUMN d VARCHAR(3)",
        "CREATE TABLE z.parts (id INT, b VARCHAR(5)) PARTITION BY HASH (id) PARTITIONS 3",
        "CREATE TABLE z.period (id INT, a DATE DEFAULT 20240101, b DATE DEFAULT 20240102, PERIOD FOR app (a, b))",
    ),
}


def run(server: Any, statements: Iterable[str]) -> None:
    with closing(server.connect(autocommit=True)) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def end(server: Any) -> Position:
    with closing(server.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW BINARY LOG STATUS" if server.flavour == "mysql" else "SHOW MASTER STATUS")
        row = cursor.fetchone()
        return Position(file=row[0], offset=int(row[1]), source_id=server_info(connection).source_id)


def read(pair: ServerPair, start: Position) -> tuple[bytes, dict[str, tuple[bytes, bytes]]]:
    """The format description; of every table its last table map and rows event, since `start`."""
    last = end(pair.source)
    reader = Reader(ServerUri.parse(pair.source_uri), pair.flavour, start, server_id=4_100_000_000)
    reader.connect()
    maps: dict[bytes, bytes] = {}
    found: dict[str, tuple[bytes, bytes]] = {}
    offset, deadline = 0, time.monotonic() + 60
    with closing(reader):
        while offset < last.offset:
            assert time.monotonic() < deadline
            for event in map(bytes, reader.read(1.0)):
                if event[e.TYPE_AT] == 19:
                    maps[event[e.TABLE_ID]] = event
                elif event[e.TYPE_AT] in e.ROWS_KINDS:
                    table_map = maps[event[e.TABLE_ID]]
                    found[table_name(table_map).key] = (table_map, event)
                if event[e.TYPE_AT] in (2, 16):
                    (offset,) = struct.unpack_from("<I", event, 13)
        return bytes(reader.format_description), found


@pytest.mark.parametrize("level", [0, 1, 2])
def test_every_type_is_read_as_the_catalog_has_it_and_refused_nowhere(
    flavour: Flavour, level: int, start_pair: StartPair
) -> None:
    if level >= len(METADATA[flavour]):
        pytest.skip("MySQL has two levels")
    metadata = METADATA[flavour][level]
    pair = start_pair(flavour, {"binlog_row_metadata": metadata, "sql_mode": ""})
    start = end(pair.source)
    with closing(pair.source.connect()) as connection:
        zoo = columns_of(flavour, server_info(connection).version)
    statements = ["CREATE DATABASE z CHARACTER SET utf8mb4"]
    for column in zoo:
        kind = f"v {column.type}{', ' + column.extra if column.extra else ''}"
        statements += [
            f"CREATE TABLE z.`{column.name}` (id INT PRIMARY KEY, {_AROUND.format(kind)})",
            f"INSERT INTO z.`{column.name}` (id, u) VALUES (1, 1)",
        ]
    statements += _ODD[flavour]
    odd = sorted({words[2].partition(".")[2] for words in map(str.split, _ODD[flavour]) if words[1] == "TABLE"})
    statements += [f"INSERT INTO z.{name} (id) VALUES (1)" for name in odd]
    if flavour == "mariadb":
        statements += ["CREATE SEQUENCE z.sequence", "SELECT NEXT VALUE FOR z.sequence"]
        odd.append("sequence")
    run(pair.source, [*statements, "CREATE DATABASE the_end"])
    _, events = read(pair, start)
    keys = {f"z.{name}" for name in (*odd, *(column.name for column in zoo))}
    assert events.keys() == keys
    with closing(connect(ServerUri.parse(pair.source_uri), "source")) as connection:
        charsets = charsets_by_collation(connection)
        tables = read_shapes(connection, flavour, keys)
    for key in sorted(keys):
        mapped, shape = read_table_map(events[key][0], flavour), tables[key]
        assert shape is not None, key
        assert not list(differences(mapped, shape, charsets)), key
        assert len(mapped.columns) == len(shape.columns) or shape.hides, key
        for there, here in zip(mapped.columns, shape.columns, strict=False):
            assert there.nullable == here.nullable, (key, here)
            if metadata == "NO_LOG":
                assert there == MappedColumn(there.type, there.metadata, there.nullable)
                continue
            if here.is_numeric:
                assert there.unsigned == here.unsigned, (key, here, there)
            if here.charset and here.members is None:
                assert there.collation is not None, (key, here)
                assert charsets[there.collation] == here.charset.replace("utf8mb3", "utf8mb3"), (key, here)
            if metadata == "FULL":
                assert there.name == here.name
                assert (there.members is None) == (here.members is None)
        assert metadata != "FULL" or mapped.key is None or mapped.key[0] == 0


@dataclass(frozen=True)
class Pair:
    """`v` is of type `theirs` in the source and `ours` in the sink. `told`: whether a table map tells, with FULL."""

    theirs: str
    ours: str
    value: str
    told: bool = True


_PAIRS = (
    Pair("int null", "int not null", "NULL"),
    Pair("varchar(9) null", "varchar(9) not null default 'dflt'", "NULL"),
    Pair("int unsigned", "int", "4000000000"),
    Pair("int", "int unsigned", "-1"),
    Pair("bigint unsigned", "bigint", "18446744073709551615"),
    Pair("int", "int zerofill", "-5"),
    Pair("int", "bigint", "5"),
    Pair("tinyint", "boolean", "5"),
    Pair("decimal(10,2)", "decimal(12,2)", "1.25"),
    Pair("float", "float(7,1)", "1.2345", told=False),
    Pair("varchar(5)", "varchar(20)", "'aaaaa'"),
    Pair("varchar(20) character set utf8mb4", "varchar(80) character set latin1", "'grüße'"),
    Pair("varchar(80) character set latin1", "varchar(20) character set utf8mb4", "'grüße'"),
    Pair("varchar(60) character set utf8mb3", "varchar(45) character set utf8mb4", "'grüße'"),
    Pair("varchar(60) character set ascii", "varchar(60) character set latin1", "'abc'"),
    Pair("char(10) character set utf8mb4", "char(40) character set latin1", "'grüße'"),
    Pair("char(40) character set latin1", "binary(40)", "'abc'"),
    Pair("binary(40)", "char(40) character set latin1", "'abc'"),
    Pair("varchar(40) character set latin1", "varbinary(40)", "'grüße'"),
    Pair("varbinary(40)", "varchar(40) character set latin1", "0xFF00"),
    Pair("text character set utf8mb4", "text character set latin1", "'grüße'"),
    Pair("text character set utf8mb3", "text character set utf8mb4", "'grüße'"),
    Pair("text character set utf8mb4", "text character set utf8mb3", "'🦔'"),
    Pair("text character set utf8mb4", "blob", "'grüße'"),
    Pair("text", "mediumtext", "'abc'"),
    Pair("datetime", "datetime(3)", "'2024-01-01 10:00:00'"),
    Pair("datetime(3)", "datetime", "'2024-01-01 10:00:00.123'"),
    Pair("time", "time(2)", "'10:00:00'"),
    Pair("timestamp(6) null", "timestamp(5) null", "'2024-01-01 10:00:00.123456'"),
    Pair("enum('a','b')", "enum('b','a')", "'a'"),
    Pair("enum('a','b')", "enum('A','b')", "'a'"),
    Pair("enum('a','b')", "enum('a','b','c')", "'b'"),
    Pair("enum('a','b','c')", "enum('a','b')", "'c'"),
    Pair("enum('a','ü')", "enum('a','ü') character set latin1", "'ü'"),
    Pair("set('a','b','c')", "set('c','b','a')", "'a'"),
    Pair("set('a','b')", "set('a','b','c')", "'b'"),
    Pair("set('a','b','c')", "set('a','b')", "'c'"),
    Pair("int", "int as (7) virtual", "5", told=False),
    Pair("int", "int invisible", "5"),
    Pair("int not null", "int null", "5"),
)
_MARIADB_PAIRS = (
    Pair("json", "longtext character set utf8mb4", "'{\"a\": 1}'"),
    Pair("uuid", "binary(16)", "'123e4567-e89b-12d3-a456-426655440000'", told=False),
    Pair("inet6", "uuid", "'::1'", told=False),
    Pair("varchar(20)", "varchar(20) compressed", "'abc'"),
)


@contextmanager
def quiet(connection: pymysql.Connection[Any]) -> Iterator[Any]:
    with closing(connection), connection.cursor() as cursor:
        cursor.execute("SET SESSION sql_mode = ''")
        yield cursor


def test_what_servers_change_in_silence_is_refused_and_what_they_keep_is_not(
    flavour: Flavour, start_pair: StartPair
) -> None:
    pair = start_pair(flavour, {"binlog_row_metadata": "FULL"})
    start = end(pair.source)
    pairs = _PAIRS + (_MARIADB_PAIRS if flavour == "mariadb" else ())
    for server, side in ((pair.source, "theirs"), (pair.sink, "ours")):
        with quiet(server.connect(autocommit=True)) as cursor:
            cursor.execute("CREATE DATABASE z CHARACTER SET utf8mb4")
            for number, each in enumerate(pairs):
                cursor.execute(f"CREATE TABLE z.t{number} (id INT PRIMARY KEY, v {getattr(each, side)}, w INT)")
                if side == "theirs":
                    cursor.execute(f"INSERT INTO z.t{number} (id, v, w) VALUES (1, {each.value}, 7)")
    run(pair.source, ["CREATE DATABASE the_end"])
    description, events = read(pair, start)
    with closing(connect(ServerUri.parse(pair.sink_uri), "sink")) as connection:
        charsets = charsets_by_collation(connection)
        tables = read_shapes(connection, flavour, events.keys())
    outcomes: list[str] = []
    wrong: list[str] = []
    for number, each in enumerate(pairs):
        key = f"z.t{number}"
        table_map, rows = events[key]
        shape = tables[key]
        assert shape is not None
        found = list(differences(read_table_map(table_map, flavour), shape, charsets))
        outcome = applied(pair, key, description, table_map + rows)
        outcomes.append(outcome)
        fits = {"changed": bool(found) or not each.told, "equal": not found, "refused": True}[outcome]
        if not fits:
            wrong.append(f"{each.theirs} -> {each.ours}: {outcome}, and {[one.text for one in found]}")
    assert not wrong, "\n".join(wrong)
    assert outcomes.count("changed") >= 20
    assert outcomes.count("equal") >= 9
    assert outcomes.count("refused") >= 4


def applied(pair: ServerPair, key: str, description: bytes, events: bytes) -> str:
    """What the sink's server makes of the source's events: refused, changed or equal."""
    with quiet(pair.sink.connect(autocommit=True)) as cursor:
        cursor.execute(f"BINLOG '{b64encode(description).decode()}'")
        if pair.flavour == "mysql":
            cursor.execute("SET gtid_next = 'AUTOMATIC'")
        try:
            cursor.execute(f"BINLOG '{b64encode(events).decode()}'")
        except pymysql.MySQLError:
            return "refused"
    shown = []
    for server in (pair.source, pair.sink):
        with quiet(server.connect()) as cursor:
            cursor.execute(f"SELECT HEX(CONVERT(v USING utf8mb4)), w FROM {key}")
            shown.append(cursor.fetchall())
    return "equal" if shown[0] == shown[1] else "changed"
