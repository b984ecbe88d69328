"""Lag as users, scripts and alerts see it: true, or not known since a moment; never a false 0 and never a false age."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest

from hedgerow.common.errors import HedgerowError
from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.cluster import Cluster
from hedgerow.sandbox.process import wait_until
from hedgerow.sandbox.servers import Server
from tests.cluster.conftest import StartCluster, query
from tests.cluster.test_metrics import scrape

pytestmark = pytest.mark.timeout(240)

NODE, CHANGEFEED = "hedgerow_lag_seconds", "hedgerow_changefeed_checkpoint_lag_seconds"
SIZES = ("hedgerow_lag_bytes", "hedgerow_changefeed_lag_bytes")
SOON = 3.0  # that a look takes and a report is old, on a busy machine


def begin(start_cluster: StartCluster, flavour: Flavour) -> Cluster:
    cluster = start_cluster(flavour, nodes=1)
    for server in (cluster.pair.source, cluster.pair.sink):
        query(server, "CREATE DATABASE s")
        query(server, "CREATE TABLE s.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(200))")
        query(server, "CREATE DATABASE other")
        query(server, "CREATE TABLE other.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(200))")
    cluster.create("shop", "--filter", "s.*", start="now")
    cluster.wait_for("shop", state="normal")
    return cluster


def insert(cluster: Cluster, *before: str, table: str = "s.t") -> None:
    with cluster.pair.source.connect() as connection, connection.cursor() as cursor:
        for statement in (*before, f"INSERT INTO {table} (v) VALUES (REPEAT('x', 200))"):
            cursor.execute(statement)


def rows(cluster: Cluster) -> tuple[Any, Any]:
    return tuple(query(server, "SELECT COUNT(*) FROM s.t") for server in (cluster.pair.source, cluster.pair.sink))  # type: ignore[return-value]


def metrics(cluster: Cluster) -> dict[str, float]:
    return {name: value for (name, _), value in scrape(cluster.nodes[0]).items() if "lag_" in name}


@contextmanager
def load(cluster: Cluster) -> Iterator[None]:
    """A row every 20 ms."""
    stop = threading.Event()

    def write() -> None:
        with cluster.pair.source.connect(autocommit=True) as connection, connection.cursor() as cursor:
            while not stop.wait(0.02):
                cursor.execute("INSERT INTO s.t (v) VALUES ('load')")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def frozen(server: Server) -> Iterator[None]:
    server.freeze()
    try:
        yield
    finally:
        server.thaw()


def assert_current(cluster: Cluster, seconds: float = 60.0) -> None:
    """It becomes 0 when everything is there, in every place that shows it."""

    def is_current() -> bool:
        shown, found = cluster.get("shop"), metrics(cluster)
        as_json = (shown["lag_seconds"], shown["lag_unknown_since"], shown["lag_bytes"])
        return as_json == (0.0, None, 0) and set(found) == {NODE, CHANGEFEED, *SIZES} and not any(found.values())

    assert wait_until(lambda: len(set(rows(cluster))) == 1, seconds, 0.1)
    assert wait_until(is_current, seconds, 0.1), (cluster.get("shop"), metrics(cluster))


def assert_grows(
    cluster: Cluster, since: float, seconds: float = 12.0, *, before: float = 3.0, node: bool = True
) -> dict[str, Any]:
    """`since` (time.time()): from then on nothing more became durable, and it was
    current `before` that, in seconds. Looks for a while; returns the last answer."""
    shown: dict[str, Any] = {}
    looked = 0
    while time.time() - since < seconds:
        try:
            shown = cluster.get("shop")
        except HedgerowError:
            continue
        elapsed = time.time() - since
        found = metrics(cluster)
        at_most = (time.time() - moment(shown)) if shown["lag_seconds"] is None else shown["lag_seconds"]
        # It stays 0 until the source's silence is out of the ordinary.
        least = elapsed - SOON if elapsed > 5 + SOON else 0.0
        assert least <= at_most <= elapsed + before + SOON, (elapsed, brief(shown))
        if elapsed > 5 + SOON:
            looked += 1
            for name in (NODE, CHANGEFEED) if node else (CHANGEFEED,):
                assert elapsed - SOON <= found[name] <= elapsed + before + SOON, (elapsed, found)
        time.sleep(0.1)
    assert looked > 10
    return shown


def brief(shown: dict[str, Any]) -> str:
    return str({key: value for key, value in shown.items() if key.startswith("lag") or key in ("state", "error")})


def moment(shown: dict[str, Any]) -> float:
    return datetime.fromisoformat(shown["lag_unknown_since"]).timestamp()


def test_an_idle_source_has_no_lag_and_never_had(flavour: Flavour, start_cluster: StartCluster) -> None:
    """Also where the rows were committed at the end of a second, by a statement that took long, or with a time stamp
    that somebody has set; and over a file that ends."""
    cluster = begin(start_cluster, flavour)
    assert_current(cluster)
    writes: list[tuple[str, ...]] = [
        (),
        ("SET timestamp = UNIX_TIMESTAMP() - 3600",),
        ("SET timestamp = UNIX_TIMESTAMP() + 3600",),
        ("FLUSH BINARY LOGS",),
        ("DO SLEEP(2.5)",),
    ]
    samples: list[tuple[Any, ...]] = []
    for before in writes:
        if before == ("DO SLEEP(2.5)",):
            query(cluster.pair.source, "INSERT INTO s.t (v) SELECT CONCAT('slow', SLEEP(2.5))")
        else:
            insert(cluster, *before)
        assert wait_until(lambda: len(set(rows(cluster))) == 1, 30, 0.02)
        began = time.monotonic()
        while time.monotonic() - began < 6.0:
            shown, found = cluster.get("shop"), metrics(cluster)
            sizes = [shown["lag_bytes"], *(found.pop(name) for name in SIZES)]
            if time.monotonic() - began > SOON:  # a report is whole, and may be of a moment before
                assert sizes == [0, 0, 0]
            samples.append((before, shown["lag_seconds"], shown["lag_unknown_since"], *found.values()))
    wrong = [sample for sample in samples if sample[1] is None or any(value and value > 0.5 for value in sample[1:])]
    assert len(samples) > 200
    assert not wrong, f"{len(wrong)} of {len(samples)}: {wrong[:5]}"


def test_what_cannot_get_on_is_never_shown_as_current(flavour: Flavour, start_cluster: StartCluster) -> None:
    cluster = begin(start_cluster, flavour)
    source, sink = cluster.pair.source, cluster.pair.sink
    with load(cluster):
        assert wait_until(lambda: rows(cluster)[1] > ((50,),), 30, 0.1)
        shown = cluster.get("shop")
        assert shown["lag_seconds"] < 5, shown

        # A frozen sink, then a dead one: what is undone grows old, and is counted in bytes.
        since = time.time()
        sink.freeze()
        try:
            assert assert_grows(cluster, since)["lag_seconds"] > 5
        finally:
            sink.kill()
        dead = assert_grows(cluster, since, time.time() - since + 8)
        assert dead["state"] == "warning"
        assert wait_until(lambda: (cluster.get("shop")["lag_bytes"] or 0) > 20_000, 20, 0.2), cluster.get("shop")
        assert metrics(cluster)["hedgerow_changefeed_lag_bytes"] > 20_000
        sink.start()
    assert_current(cluster)

    # A dead source, and a frozen one: nobody knows what it has.
    source.kill()
    since = time.time()
    assert_grows(cluster, since)
    shown = cluster.wait_for("shop", lag_seconds=None)
    assert abs(moment(shown) - since) < 3
    source.start()
    assert_current(cluster)
    since = time.time()
    with frozen(source):
        assert assert_grows(cluster, since)["lag_seconds"] is None
    assert_current(cluster)

    # Paused while the source goes on; the next coordinator knows as much.
    began = time.time()
    cluster.command("changefeed", "pause", "shop")
    since = time.time()
    insert(cluster)
    shown = assert_grows(cluster, since, before=since - began, node=False)
    assert (shown["lag_seconds"], shown["state"]) == (None, "stopped")
    assert NODE not in metrics(cluster)
    cluster.nodes[0].process.kill()
    cluster.nodes[0].start()
    assert wait_until(lambda: cluster.get("shop")["state"] == "stopped", 30, 0.2)
    assert began - 5 < moment(cluster.get("shop")) < since + 1
    cluster.command("changefeed", "resume", "shop")
    assert_current(cluster)

    # Failed.
    query(sink, "SET SESSION sql_log_bin = 0")
    query(sink, "DELETE FROM s.t ORDER BY id DESC LIMIT 1")
    query(source, "DELETE FROM s.t ORDER BY id DESC LIMIT 1")
    since = time.time()
    cluster.wait_for("shop", state="failed")
    assert_grows(cluster, since, node=False)


def test_catching_up_is_lag_also_on_what_concerns_others(flavour: Flavour, start_cluster: StartCluster) -> None:
    """The stream has to read a lot of other tables' rows before the one that counts."""
    cluster = begin(start_cluster, flavour)
    insert(cluster)
    assert_current(cluster)
    cluster.command("changefeed", "pause", "shop")
    since = time.time()
    with cluster.pair.source.connect(autocommit=True) as connection, connection.cursor() as cursor:
        while time.time() - since < 6:
            cursor.execute("INSERT INTO other.t (v) VALUES ('other')")
        cursor.execute("INSERT INTO s.t (v) VALUES ('last')")
    cluster.command("changefeed", "resume", "shop")
    while rows(cluster)[0] != rows(cluster)[1]:
        shown, found = cluster.get("shop"), metrics(cluster)
        if rows(cluster)[0] != rows(cluster)[1]:
            assert shown["lag_seconds"] != 0.0, shown
            assert found[CHANGEFEED] > 0, found
        assert time.time() - since < 120
    assert_current(cluster)
