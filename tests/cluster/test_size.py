"""What is large: one source transaction, one compressed transaction, and many tables in many changefeeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.cluster import Cluster, NodeProcess
from hedgerow.sandbox.compare import wait_until_equal
from hedgerow.sandbox.process import wait_until
from hedgerow.sandbox.servers import Server
from tests.cluster.conftest import StartCluster, query

pytestmark = pytest.mark.timeout(400)

MB = 1 << 20
TRANSACTION_BYTES = 200 * MB
GROWTH_BYTES = 90 * MB  # of a node, with batches of 4 MiB: some of them, encoded, and what the sockets hold


def peak_memory(node: NodeProcess) -> int:
    """The most resident memory that a node ever had, in bytes."""
    status = Path(f"/proc/{node.process.pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def write_large(source: Server, total_bytes: int) -> int:
    """One transaction of about so many bytes of rows that compress to a quarter; returns the count of rows."""
    rows = 0
    random = ", ".join(["HEX(RANDOM_BYTES(1000))"] * 4)
    with source.connect(autocommit=False) as connection, connection.cursor() as cursor:
        while rows * 16_000 < total_bytes:
            cursor.execute(
                f"INSERT INTO shop.large (v) SELECT CONCAT(REPEAT('x', 8000), {random})"
                " FROM information_schema.collations LIMIT 200"
            )
            rows += cursor.rowcount
        cursor.execute("INSERT INTO shop.small VALUES (1)")
        connection.commit()
    return rows


def create_large_tables(server: Server) -> None:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE shop")
        cursor.execute("CREATE TABLE shop.large (id INT PRIMARY KEY AUTO_INCREMENT, v MEDIUMTEXT) CHARACTER SET latin1")
        cursor.execute("CREATE TABLE shop.small (id INT PRIMARY KEY)")


def apply_large(cluster: Cluster, total_bytes: int, seconds: float) -> tuple[int, int]:
    """Replicates one large transaction; a node's peak memory before and after, in bytes."""
    source, sink = cluster.pair.source, cluster.pair.sink
    create_large_tables(source)
    cluster.create("shop", "--filter", "shop.*", "--consistency", "transaction")
    assert wait_until(lambda: len(cluster.get("shop")["dispatchers"]) == 3, 30.0, 0.2)
    (node,) = cluster.nodes
    before = peak_memory(node)
    rows = write_large(source, total_bytes)
    assert wait_until(lambda: query(sink, "SELECT id FROM shop.small") == ((1,),), seconds, 0.2)
    assert query(sink, "SELECT COUNT(*) FROM shop.large") == ((rows,),)
    return before, peak_memory(node)


def options(flavour: Flavour, compressed: bool) -> dict[str, Any]:
    size: dict[str, Any] = {"max_allowed_packet": 64 * MB, "innodb_log_file_size": "256M"}
    if flavour == "mysql":
        size = {"max_allowed_packet": 64 * MB, "innodb_redo_log_capacity": "512M"}
    if not compressed:
        return size
    return {
        **size,
        **({"log_bin_compress": True} if flavour == "mariadb" else {"binlog_transaction_compression": True}),
    }


@pytest.mark.parametrize("compressed", [False, True])
def test_a_large_transaction_is_atomic_in_little_memory(
    flavour: Flavour, start_cluster: StartCluster, compressed: bool
) -> None:
    both = options(flavour, compressed)
    cluster = start_cluster(flavour, nodes=1, source_options=both, sink_options=options(flavour, False))
    before, after = apply_large(cluster, TRANSACTION_BYTES, 200.0)
    # A compressed transaction of MySQL is one event, which is held whole.
    whole = TRANSACTION_BYTES // 2 if compressed and flavour == "mysql" else 0
    print(f"{flavour} {'compressed' if compressed else 'plain'}: {before // MB} MiB before, {after // MB} MiB after")
    assert after - before < GROWTH_BYTES + whole


def test_a_hundred_tables_in_ten_changefeeds_on_one_node(flavour: Flavour, start_cluster: StartCluster) -> None:
    cluster = start_cluster(flavour, nodes=1)
    source, sink = cluster.pair.source, cluster.pair.sink
    tables = [f"s{feed}.t{table}" for feed in range(10) for table in range(10)]
    with source.connect() as connection, connection.cursor() as cursor:
        for feed in range(10):
            cursor.execute(f"CREATE DATABASE s{feed}")
        for table in tables:
            cursor.execute(f"CREATE TABLE {table} (id INT PRIMARY KEY, v INT)")
    for feed in range(10):
        cluster.create(f"feed{feed}", "--filter", f"s{feed}.*")
    for feed in range(10):
        assert wait_until(lambda feed=feed: len(cluster.get(f"feed{feed}")["dispatchers"]) == 11, 60.0, 0.3)  # type: ignore[misc]
    with source.connect() as connection, connection.cursor() as cursor:
        for number in range(20):
            for table in tables:
                cursor.execute(f"INSERT INTO {table} VALUES ({number}, 1)")
        cursor.execute("XA START 'x'")
        cursor.execute("UPDATE s0.t0 SET v = 2")
        cursor.execute("XA END 'x'")
        cursor.execute("XA PREPARE 'x'")
    with source.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE s1.copy SELECT * FROM s1.t1")
        cursor.execute("XA COMMIT 'x'")
    tables.append("s1.copy")
    for feed in range(10):
        found = wait_until_equal(source.root, sink.root, f"s{feed}", seconds=30)
        assert found.equal, str(found)
    (node,) = cluster.nodes
    print(f"{flavour}: {peak_memory(node) // MB} MiB for 100 tables in 10 changefeeds")
    assert peak_memory(node) < 150 * MB
