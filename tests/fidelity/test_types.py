"""Every column type, through INSERT, UPDATE and DELETE, is in the sink what it is in the source, byte for byte.

One node replicates; the source writes the same to one set of tables for each row image and compression, so that a
difference names the setting as well as the type.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pymysql.cursors import Cursor

from hedgerow.common.mysql.connect import Flavour, parse_version, server_info
from hedgerow.sandbox.cluster import Cluster
from hedgerow.sandbox.compare import wait_until_equal
from hedgerow.sandbox.flavours import require
from hedgerow.sandbox.servers import Option
from tests.fidelity.columns import Column, columns_of
from tests.fidelity.unlike import restrict, unlike

pytestmark = pytest.mark.timeout(300)

IMAGES = ("FULL", "MINIMAL")
COMPRESSION: dict[Flavour, dict[str, Option]] = {
    "mariadb": {"log_bin_compress": "ON", "log_bin_compress_min_len": 10},
    "mysql": {"binlog_transaction_compression": "ON"},
}
COMPRESSION_SINCE = (8, 0, 20)  # MySQL


@pytest.fixture(scope="module", params=["plain", "compressed"])
def cluster(flavour: Flavour, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    options = COMPRESSION[flavour] if request.param == "compressed" else {}
    version = require(flavour).version
    if options and flavour == "mysql" and parse_version(version) < COMPRESSION_SINCE:
        pytest.skip(f"MySQL {version} cannot compress transactions")
    source, sink = unlike(flavour, parse_version(version))
    with Cluster(flavour, nodes=1, source_options={**source, **options}, sink_options=sink) as cluster:
        restrict(cluster.pair.sink, "fidelity\\_%")
        cluster.create("types", "--filter", "fidelity_*.*")
        yield cluster
        assert not cluster.unreplicated(), "rows of a table that matches the filter had no dispatcher"


@pytest.mark.parametrize("image", IMAGES)
def test_every_type_survives(cluster: Cluster, image: str) -> None:
    schema = f"fidelity_{image.lower()}"
    with cluster.pair.source.connect() as connection, connection.cursor() as cursor:
        columns = columns_of(cluster.flavour, server_info(connection).version)
        cursor.execute(f"SET SESSION binlog_row_image = '{image}', time_zone = '+00:00'")
        if cluster.flavour == "mysql":
            cursor.execute("SET SESSION binlog_row_value_options = 'PARTIAL_JSON'")
        cursor.execute(f"CREATE DATABASE {schema} CHARACTER SET utf8mb4")
        for column in columns:
            write_column(cursor, f"{schema}.{column.name}", column)
    comparison = wait_until_equal(cluster.pair.source.root, cluster.pair.sink.root, schema, seconds=60)
    assert comparison.equal, "\n".join(map(str, comparison.unequal))
    assert len(comparison.tables) == len(columns)
    assert comparison.rows >= 2 * len(columns)
    assert cluster.get("types")["state"] == "normal"


def write_column(cursor: Cursor, table: str, column: Column) -> None:
    """Rows 1..n hold the values, n+1 holds NULL where it may; each is changed into its neighbour; row 1 is deleted."""
    extra = f", {column.extra}" if column.extra else ""
    cursor.execute(f"CREATE TABLE {table} (id INT PRIMARY KEY, v {column.type}{extra})")
    values = [*column.values, *([] if "NOT NULL" in column.type else ["NULL"])]
    for number, value in enumerate(values, 1):
        cursor.execute(f"INSERT INTO {table} (id, v) VALUES ({number}, {value})")
        cursor.execute(f"INSERT INTO {table} (id, v) VALUES ({number + 100}, {value})")
    for number, value in enumerate(values[1:] + values[:1], 1):
        cursor.execute(f"UPDATE {table} SET v = {value} WHERE id = {number}")
    for assignment in column.update:
        cursor.execute(f"UPDATE {table} SET {assignment}")
    cursor.execute(f"DELETE FROM {table} WHERE id = 1")
