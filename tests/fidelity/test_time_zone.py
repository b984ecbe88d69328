"""A session in time zone SYSTEM is in that of its server's machine, which no event names: the sink's may be another."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.cluster import Cluster
from hedgerow.sandbox.compare import wait_until_equal
from hedgerow.sandbox.servers import Server, ServerPair
from tests.fidelity.unlike import definitions

pytestmark = pytest.mark.timeout(240)

INDIA, UTC = "IST-5:30", "UTC0"  # POSIX: what is added for UTC
TABLE = "CREATE TABLE tz_a.t (id INT PRIMARY KEY, v INT) ENGINE = InnoDB CHARACTER SET ascii"
ALTER = "ALTER TABLE tz_a.t ADD a DATETIME DEFAULT NOW(), ADD b TIMESTAMP NULL DEFAULT '2020-07-01 12:00:00'"


def start(server: Server, zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    server.start()


def run(server: Server, *statements: str) -> None:
    with server.connect() as connection:
        for statement in statements:
            connection.query(statement)


@pytest.fixture
def servers(flavour: Flavour) -> Iterator[ServerPair]:
    pair = ServerPair(Server(flavour, "source"), Server(flavour, "sink"))
    yield pair
    pair.close()


def begun(pair: ServerPair, cluster: Cluster) -> None:
    for server in (pair.source, pair.sink):
        run(server, "SET sql_log_bin = 0", "CREATE DATABASE tz_a", TABLE, "INSERT INTO tz_a.t VALUES (1, 1)")
    cluster.create("zones", "--filter", "tz_a.*", start="now")


def assert_equal(pair: ServerPair) -> None:
    comparison = wait_until_equal(pair.source.root, pair.sink.root, "tz_a", seconds=60)
    assert comparison.equal, "\n".join(map(str, comparison.unequal))
    assert definitions(pair.source, ["tz_a"]) == definitions(pair.sink, ["tz_a"])


def test_of_a_source_in_utc(flavour: Flavour, servers: ServerPair, monkeypatch: pytest.MonkeyPatch) -> None:
    start(servers.source, UTC, monkeypatch)
    start(servers.sink, INDIA, monkeypatch)
    with Cluster(flavour, nodes=1, pair=servers) as cluster:
        begun(servers, cluster)
        run(servers.source, "SET time_zone = 'SYSTEM'", ALTER, "INSERT INTO tz_a.t (id) VALUES (2)")
        assert_equal(servers)


def test_of_a_source_elsewhere(flavour: Flavour, servers: ServerPair, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stops, and goes on as the message says."""
    start(servers.source, INDIA, monkeypatch)
    start(servers.sink, UTC, monkeypatch)
    with Cluster(flavour, nodes=1, pair=servers) as cluster:
        begun(servers, cluster)
        run(servers.source, "ALTER TABLE tz_a.t ADD plain INT", ALTER, "INSERT INTO tz_a.t (id) VALUES (2)")
        error = cluster.wait_for("zones", state="failed", seconds=60)["error"]
        assert error["code"] == "DdlFailed"
        assert "'SYSTEM', which is IST +19800 there and UTC here" in error["message"]
        assert "TZ in its environment), then resume" in error["message"]
        monkeypatch.setenv("TZ", INDIA)
        servers.sink.restart()
        cluster.command("changefeed", "resume", "zones")
        assert_equal(servers)
