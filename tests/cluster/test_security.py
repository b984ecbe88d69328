"""A whole cluster with TLS, roles, tokens and an etcd that asks for a password: it works, and no secret leaks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import ssl
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hedgerow.cli.client import Client
from hedgerow.common.config import ClientConfig
from hedgerow.common.control.security.methods import Role
from hedgerow.common.control.security.tokens import entry_line, new_token
from hedgerow.common.errors import BadInput, Forbidden, HedgerowError, NodeUnavailable, Unauthenticated
from hedgerow.common.etcd import Etcd, prefix
from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.pb.v1 import admin_pb2 as pb
from hedgerow.sandbox.cluster import Cluster, CommandFailed, run_command
from hedgerow.sandbox.etcd import PASSWORD, USER, EtcdCluster
from hedgerow.sandbox.ports import free_port
from hedgerow.sandbox.process import ManagedProcess, wait_until
from hedgerow.sandbox.servers import ServerPair

SCHEMA = "canary"


class Guarded:
    """Three nodes with everything on. `canaries`: by name, what must not be found anywhere."""

    def __init__(self, pair: ServerPair) -> None:
        self.cluster = cluster = Cluster(pair.flavour, nodes=3, pair=pair, tls=True)
        self.directory = directory = cluster.directory
        cluster.etcd = EtcdCluster(directory / "etcd-guarded", members=1, tls=True, auth=True)
        self.tokens = {role: new_token() for role in ("viewer", "operator", "admin")}
        (directory / "tokens").write_text("\n".join(entry_line(n, Role(n), token) for n, token in self.tokens.items()))
        (directory / "etcd-password").write_text(PASSWORD)
        etcd = cluster.etcd.config
        common = {
            "etcd_ca": str(etcd.ca_file),
            "etcd_cert": str(etcd.cert_file),
            "etcd_key": str(etcd.key_file),
            "etcd_user": USER,
            "etcd_password_file": str(directory / "etcd-password"),
            "token_hashes": str(directory / "tokens"),
            "log_level": "debug",
            "lease_ttl": 10,
            "allowed_hosts": ["127.0.0.1"],
        }
        self.token_addresses = []
        for name in ("node1", "node2", "node3"):
            self.token_addresses.append(f"127.0.0.1:{free_port()}")
            own = {"token_listen": self.token_addresses[-1], "audit_log": str(directory / f"{name}.audit")}
            cluster.add_node(**common, **own)
        self.canaries = {
            **{f"token of {name}": token for name, token in self.tokens.items()},
            "password of etcd": PASSWORD,
            "password of the source's account": pair.source.account("hedgerow_source").password,
            "password of the sink's account": pair.sink.account("hedgerow_sink").password,
            **{f"key of {name}": key_text(cluster, name) for name in ("node1", "node2", "node3", "admin")},
            "password in a URI": "c4n4ry-in-a-uri",
            "password in an option": "c4n4ry-in-an-option",
        }

    def start(self) -> None:
        self.cluster.etcd.start()
        for node in self.cluster.nodes:
            node.start()

    def by_token(self, role: str, node: int = 0) -> Client:
        file = self.directory / f"{role}.token"
        file.write_text(self.tokens[role])
        assert self.cluster.authority is not None
        settings = {"tls_ca": self.cluster.authority.ca_file, "token_file": file}
        return Client(ClientConfig.load(None, {"addr": self.token_addresses[node], **settings}))

    def audit(self) -> list[dict[str, Any]]:
        files = [self.directory / f"{node.name}.audit" for node in self.cluster.nodes]
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def key_text(cluster: Cluster, name: str) -> str:
    """A line out of the middle of a private key."""
    return cluster.user(name)["tls_key"].read_text().splitlines()[2]


@pytest.fixture
def guarded(server_pair: ServerPair) -> Iterator[Guarded]:
    found = Guarded(server_pair)
    try:
        found.start()
        yield found
    finally:
        found.cluster.close()


def test_it_replicates_hands_over_and_keeps_its_secrets(guarded: Guarded, flavour: Flavour) -> None:
    cluster, pair = guarded.cluster, guarded.cluster.pair
    seen = [text for _, text in mistakes(guarded)]
    with pair.source.connect() as source, source.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {SCHEMA}")
        cursor.execute(f"CREATE TABLE {SCHEMA}.t (id INT PRIMARY KEY)")
        cluster.create("shop", "--filter", f"{SCHEMA}.*")
        cluster.wait_for("shop", state="normal")
        cursor.executemany(f"INSERT INTO {SCHEMA}.t VALUES (%s)", [(n,) for n in range(100)])
        assert wait_until(lambda: count(pair) == 100, 60, 0.2)
        cluster.owner("shop").process.kill()
        cursor.execute(f"INSERT INTO {SCHEMA}.t VALUES (1000)")
        assert wait_until(lambda: count(pair) == 101, 60, 0.2)
        for node in cluster.nodes:
            if not node.process.running:
                node.start()
        seen += broken(guarded)
        cursor.execute(f"INSERT INTO {SCHEMA}.t VALUES (1001)")
        assert wait_until(lambda: count(pair) == 102, 60, 0.2)
    seen.append(json.dumps(cluster.command("changefeed", "get", "shop")))
    seen.append(json.dumps(cluster.command("changefeed", "list")))
    seen.append(json.dumps(cluster.command("node", "list")))
    found = leaks(guarded, seen)
    cluster.command("changefeed", "remove", "shop", "--yes")
    assert not found, found


def mistakes(guarded: Guarded) -> list[tuple[type[HedgerowError], str]]:
    """What people and attackers try, and what they are told."""
    cluster = guarded.cluster
    admin, viewer, operator = guarded.by_token("admin"), guarded.by_token("viewer", 1), guarded.by_token("operator", 2)
    uri, key = cluster.pair.source_uri, cluster.user("node1")["tls_key"]
    for client in (admin, viewer, operator):
        assert len(client.call("ListNodes", pb.ListNodesRequest()).nodes) == 3, "forwarded, whoever coordinates"
    sent = {
        "uri": create(source="mysql://u:c4n4ry-in-a-uri@127.0.0.1/", sink=uri),
        "option": create(source="mysql://u@127.0.0.1/?password=c4n4ry-in-an-option", sink=uri),
        "file": create(source=f"mysql://u@127.0.0.1/?password_file={key}", sink=uri),
        "etcd": create(source=f"mysql://u@127.0.0.1/?password_file={guarded.directory}/etcd-password", sink=uri),
        "outside": create(source="mysql://u@127.0.0.1/?password_file=/etc/hostname", sink=uri),
        "variable": create(source="mysql://u@127.0.0.1/?password_env=PATH", sink=uri),
        "host": create(source="mysql://u@169.254.169.254:80/", sink=uri),
        "name": create(source="mysql://u@localhost:22/", sink=uri),
    }
    said = {name: failure(admin, "CreateChangefeed", request) for name, request in sent.items()}
    for name, text in (
        ("uri", "holds a password"),
        ("option", "holds a password"),
        ("file", "file of the node's own"),
        ("etcd", "file of the node's own"),
        ("outside", "not below a directory"),
        ("variable", "does not begin with"),
        ("host", "allowed_hosts"),
        ("name", "allowed_hosts"),
    ):
        assert text in said[name][1], (name, said[name])
    assert {said[name][0] for name in ("uri", "option")} == {BadInput}
    for client, method in ((viewer, "Pause"), (viewer, "Remove"), (operator, "Remove")):
        refused = failure(client, method, pb.ChangefeedRequest(name="shop"))
        assert refused[0] is Forbidden
        said[f"{client.config.addr} {method}"] = refused
    (guarded.directory / "wrong.token").write_text(new_token())
    wrong = {"tls_ca": admin.config.tls_ca, "token_file": guarded.directory / "wrong.token"}
    stranger = Client(ClientConfig.load(None, {"addr": admin.config.addr, **wrong}))
    assert failure(stranger, "List", pb.ListRequest())[0] is Unauthenticated
    plain = Client(ClientConfig.load(None, {"addr": cluster.nodes[0].address}))
    assert failure(plain, "List", pb.ListRequest())[0] is NodeUnavailable
    with pytest.raises(CommandFailed) as caught:
        cluster.command("changefeed", "create", "x", "--source", "mysql://u:c4n4ry-in-a-uri@127.0.0.1/", "--sink", uri)
    said["cli"] = BadInput, caught.value.message
    refused_calls = [line for line in guarded.audit() if line["event"] == "call-refused"]
    assert {(line["who"], line["outcome"]) for line in refused_calls} >= {
        ("TOKEN:viewer", "Forbidden"),
        ("TOKEN:operator", "Forbidden"),
        ("unknown", "Unauthenticated"),
    }
    begun = [line for line in guarded.audit() if line["event"] == "call-begun" and line["who"] == "TOKEN:admin"]
    assert len([line for line in begun if not line.get("forwarded_by")]) == len(sent)
    return list(said.values())


def create(source: str, sink: str) -> pb.CreateChangefeedRequest:
    return pb.CreateChangefeedRequest(name="evil", source=source, sink=sink, start="now")


def failure(client: Client, method: str, request: Any) -> tuple[type[HedgerowError], str]:
    with pytest.raises(HedgerowError) as caught:
        client.call(method, request)
    return type(caught.value), str(caught.value)


def broken(guarded: Guarded) -> list[str]:
    """What is said while the sink's password is wrong: access denied is where passwords are shown by mistake."""
    sink = guarded.cluster.pair.sink
    file = sink.account("hedgerow_sink").password_file
    password = file.read_text()
    file.write_text("c4n4ry-in-a-uri")
    with sink.connect() as root, root.cursor() as cursor:
        cursor.execute("SELECT id FROM information_schema.processlist WHERE user = 'hedgerow_sink'")
        for (number,) in cursor.fetchall():
            with contextlib.suppress(Exception):
                cursor.execute(f"KILL {number}")
    found: list[str] = []

    def warns() -> bool:
        with contextlib.suppress(NodeUnavailable):
            found.append(json.dumps(guarded.cluster.get("shop")))
        return bool(found) and told(found[-1])

    def told(text: str) -> bool:
        return "denies access" in text or "was not shown" in text

    assert wait_until(warns, 60, 0.2), found[-1]
    file.write_text(password)
    return found


def count(pair: ServerPair) -> int:
    with contextlib.suppress(Exception), pair.sink.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT COUNT(*) FROM {SCHEMA}.t")
        (number,) = cursor.fetchone() or (0,)
        return int(number)
    return -1


def leaks(guarded: Guarded, seen: list[str]) -> list[tuple[str, str]]:
    """Which canary is found where."""
    cluster = guarded.cluster
    names = [node.name for node in cluster.nodes]
    places = {
        "what users were told": "\n".join(seen),
        "etcd": asyncio.run(dump(cluster.etcd)),
        "the sink's tables": sink_tables(cluster.pair),
        "command lines": command_lines(),
        "metrics": "".join(metrics(node.metrics) for node in cluster.nodes),
        **{f"log of {node.name}": node.process.log.read_text() for node in cluster.nodes},
        **{f"audit log of {name}": (guarded.directory / f"{name}.audit").read_text() for name in names},
        "environment of what nodes started": children_environments([node.process.pid for node in cluster.nodes]),
    }
    empty = [place for place, text in places.items() if not text and not place.startswith("environment")]
    assert not empty, empty
    assert "shop" in places["etcd"], "the search is worth something"
    assert str(guarded.directory / "node1.toml") in places["command lines"]
    return [
        (name, place) for name, canary in guarded.canaries.items() for place, text in places.items() if canary in text
    ]


async def dump(etcd: EtcdCluster) -> str:
    async with Etcd(etcd.config) as client:
        found = await client.range(prefix("/hedgerow/"))
        return repr(found)


def sink_tables(pair: ServerPair) -> str:
    rows: list[str] = []
    with pair.sink.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'hedgerow'")
        for (table,) in cursor.fetchall():
            cursor.execute(f"SELECT * FROM hedgerow.`{table}`")
            rows += [repr(row) for row in cursor.fetchall()]
        cursor.execute("SELECT * FROM information_schema.processlist")
        rows += [repr(row) for row in cursor.fetchall()]
    return "\n".join(rows)


def metrics(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def command_lines() -> str:
    lines = []
    for pid in processes():
        with contextlib.suppress(OSError):
            lines.append(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
    return "\n".join(lines)


def children_environments(parents: list[int]) -> str:
    found = []
    for pid in processes():
        with contextlib.suppress(OSError):
            parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            if parent in parents:
                found.append(Path(f"/proc/{pid}/environ").read_bytes().decode("utf-8", "replace"))
    return "\n".join(found)


def served(address: str) -> str:
    """What a node shows to who connects now."""
    host, _, port = address.partition(":")
    return ssl.get_server_certificate((host, int(port)))


def test_certificates_of_every_node_are_renewed_while_it_replicates(guarded: Guarded) -> None:
    """Nobody is suspected, no owner changes, and no table waits for longer than it does without."""
    cluster, pair = guarded.cluster, guarded.cluster.pair
    assert cluster.authority is not None
    with pair.source.connect() as source, source.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {SCHEMA}")
        cursor.execute(f"CREATE TABLE {SCHEMA}.t (id INT PRIMARY KEY)")
        cluster.create("shop", "--filter", f"{SCHEMA}.*")
        cluster.wait_for("shop", state="normal")
        before = cluster.get("shop")
        written = 0
        for name in ("node1", "node2", "node3", "admin"):
            cert, _ = cluster.authority.renew(name)
            if name != "admin":
                assert served(guarded.token_addresses[int(name[-1]) - 1]) == cert.read_text()
            end = time.monotonic() + 2
            while time.monotonic() < end:
                cursor.execute(f"INSERT INTO {SCHEMA}.t VALUES ({written})")
                written += 1
                assert cluster.get("shop")["state"] == "normal"
        assert wait_until(lambda: count(pair) == written, 60, 0.2)
        after = cluster.get("shop")
    logs = "".join(node.process.log.read_text() for node in cluster.nodes)
    assert "node-suspected" not in logs
    assert (after["epoch"], after["owner"]) == (before["epoch"], before["owner"])
    cluster.command("changefeed", "remove", "shop", "--yes")


def test_what_the_page_says_to_try_works(tmp_path: Path) -> None:
    """docs/security.md, *Turning it on*: its lines as they are, but for ports and directories."""
    page = (Path(__file__).parents[2] / "docs" / "security.md").read_text()
    lines = page[page.index("    hedgerow certificates tls") :].split("\n\n")[0].replace("\\\n", " ").splitlines()
    make, run, ask = [[part.replace("tls/", f"{tmp_path}/tls/") for part in shlex.split(line)[1:]] for line in lines]
    run_command(*[str(tmp_path / "tls") if part == "tls" else part for part in make])
    listen = f"127.0.0.1:{free_port()}"
    with EtcdCluster(tmp_path / "etcd", members=1) as etcd:
        where = ["--etcd", etcd.endpoints[0], "--listen", listen]
        node = ManagedProcess([sys.executable, "-m", "hedgerow", *run, *where], name="node", log=tmp_path / "log")
        node.start()
        try:

            def answers() -> bool:
                with contextlib.suppress(CommandFailed):
                    return "alive" in run_command(*ask, addr=listen).lower()
                return False

            node.wait_ready(answers, 60)
            with pytest.raises(CommandFailed) as caught:
                run_command("node", "list", addr=listen)
            assert caught.value.exit_code == 6
            assert "is TLS on at one end only" in caught.value.message
            stranger = [part.replace("alice", "127.0.0.1") for part in ask]
            with pytest.raises(CommandFailed) as caught:
                run_command(*stranger, addr=listen)
            assert caught.value.exit_code == 7
            assert "CN:127.0.0.1 has the role node; /hedgerow.v1.Admin/ListNodes needs" in caught.value.message
        finally:
            node.kill()
