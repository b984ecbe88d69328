"""Replication from an older version of a server into a newer one: every type, DDL, and an owner that is killed.

It is the most usual reason to replicate. Runs for the versions that `make servers` has fetched; the end of the run says
which are not here.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import pytest

from hedgerow.common.mysql.connect import Flavour, parse_version
from hedgerow.sandbox.cluster import Cluster
from hedgerow.sandbox.compare import wait_until_equal
from hedgerow.sandbox.flavours import Program, programs
from hedgerow.sandbox.servers import Option, Server, start_server_pair
from tests.fidelity.columns import columns_of
from tests.fidelity.test_types import write_column

pytestmark = pytest.mark.timeout(300)

UPGRADES: tuple[tuple[Flavour, str, str], ...] = (
    ("mariadb", "10.11", "11.4"),
    ("mariadb", "10.11", "11.8"),
    ("mariadb", "11.4", "11.8"),
    ("mysql", "8.0", "9.7"),
)
_WIDTH = re.compile(r"\b((?:tiny|small|medium|big)?int|year)\(\d+\)")  # MySQL 8.0.19 and later do not show it
SCHEMA = "upgrade"
LENIENT: dict[str, Option] = {"sql_mode": "", "max_allowed_packet": "64M"}
DDL = (
    # Without a collation, in the character set whose default differs between versions.
    f"CREATE TABLE {SCHEMA}.words (id INT PRIMARY KEY AUTO_INCREMENT, word VARCHAR(40), UNIQUE (word)) CHARSET=utf8mb4",
    f"INSERT INTO {SCHEMA}.words (word) VALUES ('ae'), ('grün'), ('straße')",
    f"CREATE TABLE {SCHEMA}.keyless (v VARCHAR(20), at TIMESTAMP)",
    f"INSERT INTO {SCHEMA}.keyless (v) VALUES ('a'), ('a'), ('b')",
    f"ALTER TABLE {SCHEMA}.words ADD length INT AS (CHAR_LENGTH(word)) STORED, ADD noted DATETIME DEFAULT NOW()",
    f"CREATE TABLE {SCHEMA}.old LIKE {SCHEMA}.keyless",
    f"RENAME TABLE {SCHEMA}.keyless TO {SCHEMA}.spare, {SCHEMA}.old TO {SCHEMA}.keyless",
    f"INSERT INTO {SCHEMA}.keyless (v) VALUES ('c')",
    f"CREATE TABLE {SCHEMA}.parts (id INT NOT NULL, v INT) PARTITION BY RANGE (id) (PARTITION p VALUES LESS THAN (9))",
    f"ALTER TABLE {SCHEMA}.parts ADD PARTITION (PARTITION p1 VALUES LESS THAN (20))",
    f"INSERT INTO {SCHEMA}.parts VALUES (1, 1), (11, 2)",
    f"ALTER TABLE {SCHEMA}.parts TRUNCATE PARTITION p",
    f"DELETE FROM {SCHEMA}.spare WHERE v = 'a' LIMIT 1",
    f"UPDATE {SCHEMA}.words SET word = 'größe' WHERE word = 'grün'",
)


def _program(flavour: Flavour, version: str) -> Program:
    wanted = parse_version(f"{version}.0")[:2]
    for program in programs(flavour):
        if parse_version(program.version)[:2] == wanted:
            return program
    pytest.skip(f"{flavour} {version} is not here: make servers (MySQL 9.7: make mysql)")


@pytest.fixture(scope="module", params=UPGRADES, ids=lambda each: "-".join(each))
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    flavour, older, newer = request.param
    old, new = _program(flavour, older), _program(flavour, newer)
    with (
        contextlib.closing(start_server_pair(flavour, LENIENT, LENIENT, source_program=old, sink_program=new)) as pair,
        Cluster(flavour, nodes=2, pair=pair) as cluster,
    ):
        cluster.create("upgrade", "--filter", f"{SCHEMA}.*")
        yield cluster


def test_an_upgrade_loses_nothing(cluster: Cluster) -> None:
    source, sink = cluster.pair.source, cluster.pair.sink
    columns = columns_of(cluster.flavour, parse_version(source.program.version))
    with source.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {SCHEMA} CHARACTER SET utf8mb4")
        cursor.execute("SET SESSION time_zone = '+00:00'")
        for column in columns[: len(columns) // 2]:
            write_column(cursor, f"{SCHEMA}.{column.name}", column)
        owner = cluster.owner("upgrade")
        owner.process.kill()
        for column in columns[len(columns) // 2 :]:
            write_column(cursor, f"{SCHEMA}.{column.name}", column)
        for statement in DDL:
            cursor.execute(statement)
    owner.process.start()
    comparison = wait_until_equal(source.root, sink.root, SCHEMA, seconds=120)
    assert comparison.equal, "\n".join(map(str, comparison.unequal))
    assert len(comparison.tables) == len(columns) + 4
    assert cluster.get("upgrade")["state"] == "normal"
    assert _columns(sink) == _columns(source)


def _columns(server: Server) -> list[tuple[str, ...]]:
    """SHOW CREATE TABLE is worded by version; what it says of columns is the same."""
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name, REPLACE(LOWER(column_type), 'utf8mb3', 'utf8'), is_nullable,"
            " character_set_name, collation_name, extra FROM information_schema.columns WHERE table_schema = %s"
            " ORDER BY table_name, ordinal_position",
            (SCHEMA,),
        )
        return [_plain(row) for row in cursor.fetchall()]


def _plain(row: tuple[object, ...]) -> tuple[str, ...]:
    return tuple(_WIDTH.sub(r"\1", str(value)) for value in row)
