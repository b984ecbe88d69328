"""Every wrong input has its own message and exit code, and no traceback reaches the user."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.sandbox.cluster import Cluster
from hedgerow.sandbox.flavours import FLAVOURS, flavour_available
from hedgerow.sandbox.ports import free_port
from hedgerow.sandbox.process import wait_until
from hedgerow.sandbox.servers import Option, Server
from tests.cluster.conftest import query

pytestmark = pytest.mark.timeout(240)


@dataclass(frozen=True)
class Refused:
    exit_code: int
    message: str


def hedgerow(*arguments: str) -> Refused:
    """Runs a command that is to fail, and checks that it does so in a civil way."""
    ended = subprocess.run(
        [sys.executable, "-m", "hedgerow", *arguments],
        capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert ended.returncode not in (0, 1), ended
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
    return Refused(ended.returncode, ended.stderr)


@pytest.fixture(scope="module")
def cluster(flavour: Flavour) -> Iterator[Cluster]:
    with Cluster(flavour, nodes=1) as cluster:
        yield cluster
        assert not cluster.unreplicated(), "rows of a table that matches the filter had no dispatcher"


@pytest.fixture
def create(cluster: Cluster) -> Callable[..., Refused]:
    """Creates a changefeed that is to be refused; what is not given is right."""
    with cluster.pair.source.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE IF NOT EXISTS app")
        cursor.execute("CREATE TABLE IF NOT EXISTS app.t (id INT PRIMARY KEY, v VARCHAR(10))")

    def run(
        name: str = "refused", source: str = "", sink: str = "", filter_: str = "app.*", start: str = "earliest"
    ) -> Refused:
        pair = cluster.pair
        return hedgerow(
            "changefeed", "create", name, "--source", source or pair.source_uri, "--sink", sink or pair.sink_uri,
            "--filter", filter_, "--start", start, "--addr", cluster.nodes[0].address,
        )  # fmt: skip

    return run


@pytest.fixture
def other_server(flavour: Flavour) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(of: Flavour = flavour, **options: Option) -> Server:
        servers.append(Server(of, "other", options))
        servers[-1].start()
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def uri(server: Server, user: str) -> str:
    return server.account(user).uri


def nobody_listens() -> str:
    return f"127.0.0.1:{free_port()}"


def test_unreachable_etcd() -> None:
    address = nobody_listens()
    refused = hedgerow("node", "--etcd", address, "--listen", "127.0.0.1:0")
    assert refused.exit_code == 6
    assert address in refused.message
    assert "etcd" in refused.message


def test_unreachable_node() -> None:
    address = nobody_listens()
    refused = hedgerow("changefeed", "list", "--addr", address)
    assert refused.exit_code == 6
    assert address in refused.message
    assert "--addr" in refused.message


def test_bad_configuration(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text("lease_ttl = 0\n")
    refused = hedgerow("node", "--config", str(file))
    assert refused.exit_code == 2
    assert "lease_ttl" in refused.message


@pytest.mark.parametrize("side", ["source", "sink"])
def test_unreachable_server(create: Callable[..., Refused], cluster: Cluster, side: str) -> None:
    address = nobody_listens()
    given = cluster.pair.source_uri if side == "source" else cluster.pair.sink_uri
    user, _, rest = given.removeprefix("mysql://").partition("@")
    refused = create(**{side: f"mysql://{user}@{address}/{rest.partition('/')[2]}"})
    assert refused.exit_code == 5
    assert f"{side} {address}" in refused.message


@pytest.mark.parametrize("side", ["source", "sink"])
def test_wrong_password(create: Callable[..., Refused], cluster: Cluster, side: str, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("not-the-password")
    given = cluster.pair.source_uri if side == "source" else cluster.pair.sink_uri
    refused = create(**{side: str(replace(ServerUri.parse(given), password_file=str(secret)))})
    assert refused.exit_code == 5
    assert "denied" in refused.message
    assert side in refused.message
    assert "not-the-password" not in refused.message


@pytest.mark.parametrize(
    ("options", "variable"),
    [({"log_bin": False}, "log_bin"), ({"binlog_format": "STATEMENT"}, "binlog_format")],
)
def test_binlog_that_does_not_serve(
    create: Callable[..., Refused], other_server: Callable[..., Server], options: dict[str, Option], variable: str
) -> None:
    server = other_server(**options)
    refused = create(source=uri(server, "hedgerow_source"))
    assert refused.exit_code == 5
    assert variable in refused.message
    assert "fix" in refused.message


def test_missing_grant(create: Callable[..., Refused], cluster: Cluster, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("Weak-passw0rd")
    for server in (cluster.pair.source, cluster.pair.sink):
        query(server, "CREATE USER IF NOT EXISTS 'weak'@'127.0.0.1' IDENTIFIED BY 'Weak-passw0rd'")
    source, sink = (
        replace(server.root, user="weak", password_file=secret).uri
        for server in (cluster.pair.source, cluster.pair.sink)
    )
    at_source = create(source=source)
    assert at_source.exit_code == 5
    assert "REPLICATION SLAVE" in at_source.message
    assert "GRANT" in at_source.message
    at_sink = create(sink=sink)
    assert at_sink.exit_code == 5
    assert ("BINLOG REPLAY" if cluster.flavour == "mariadb" else "REPLICATION_APPLIER") in at_sink.message
    both = create(source=source, sink=sink)
    assert "REPLICATION SLAVE" in both.message
    assert len(both.message.splitlines()) > len(at_sink.message.splitlines())


def test_unknown_changefeed(cluster: Cluster) -> None:
    for command in ("get", "pause", "resume", "watch"):
        refused = hedgerow("changefeed", command, "absent", "--addr", cluster.nodes[0].address)
        assert refused.exit_code == 3, command
        assert "absent" in refused.message
    assert hedgerow("changefeed", "remove", "--yes", "absent", "--addr", cluster.nodes[0].address).exit_code == 3


def test_name_taken(create: Callable[..., Refused], cluster: Cluster) -> None:
    cluster.create("taken", "--filter", "taken.*")
    refused = create(name="taken")
    assert refused.exit_code == 4
    assert "taken" in refused.message
    cluster.command("changefeed", "remove", "taken", "--yes")


def test_bad_name_filter_uri_and_start(create: Callable[..., Refused]) -> None:
    for given, found in (
        ({"name": "Not A Name"}, "Not A Name"),
        ({"filter_": "nodot"}, "nodot"),
        ({"source": "postgres://u@h:1/"}, "postgres"),
        ({"sink": "mysql://u:hunter2@h:1/"}, "password_file"),
        ({"start": "yesterday"}, "yesterday"),
    ):
        refused = create(**given)
        assert refused.exit_code in (2, 5), given
        assert found in refused.message
        assert "hunter2" not in refused.message


def test_purged_start(create: Callable[..., Refused], other_server: Callable[..., Server]) -> None:
    server = other_server()
    first = str(query(server, "SHOW BINARY LOGS")[0][0])
    query(server, "FLUSH BINARY LOGS")

    def purged() -> bool:  # MariaDB keeps a log until its own background thread has let go of it
        logs = [str(row[0]) for row in query(server, "SHOW BINARY LOGS")]
        query(server, f"PURGE BINARY LOGS TO '{logs[-1]}'")
        return first not in logs

    assert wait_until(purged, 10.0, 0.1)
    refused = create(source=uri(server, "hedgerow_source"), start=f"file:{first}:4")
    assert refused.exit_code == 5
    assert first in refused.message
    assert "earliest" in refused.message


def test_sink_table_missing_or_incompatible(create: Callable[..., Refused], cluster: Cluster) -> None:
    missing = create(start="now")
    assert missing.exit_code == 5
    assert "app.t" in missing.message
    query(cluster.pair.sink, "CREATE DATABASE IF NOT EXISTS app")
    query(cluster.pair.sink, "CREATE TABLE app.t (id INT PRIMARY KEY, v DATE)")
    incompatible = create(start="now")
    query(cluster.pair.sink, "DROP DATABASE app")
    assert incompatible.exit_code == 5
    assert "app.t" in incompatible.message
    assert "date" in incompatible.message.lower()
    assert missing.message != incompatible.message


def test_different_flavours(
    create: Callable[..., Refused], other_server: Callable[..., Server], flavour: Flavour
) -> None:
    (other,) = (each for each in FLAVOURS if each != flavour)
    if not (found := flavour_available(other)).available:
        pytest.skip(str(found))
    refused = create(sink=uri(other_server(other), "hedgerow_sink"))
    assert refused.exit_code == 5
    assert "MySQL" in refused.message
    assert "MariaDB" in refused.message
