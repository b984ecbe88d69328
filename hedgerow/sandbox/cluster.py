"""A whole cluster of real processes, etcd and servers included: for tests, playground, demo, benchmarks."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hedgerow.cli.client import Client
from hedgerow.cli.render import changefeed_dict
from hedgerow.common.config import ClientConfig
from hedgerow.common.errors import HedgerowError
from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.pb.v1 import admin_pb2 as pb
from hedgerow.sandbox.certificates import Authority
from hedgerow.sandbox.etcd import EtcdCluster
from hedgerow.sandbox.ports import free_port
from hedgerow.sandbox.probe import ask
from hedgerow.sandbox.process import ManagedProcess, SandboxError, remove_directory, temporary_directory, wait_until
from hedgerow.sandbox.servers import ServerPair, start_server_pair

START_SECONDS = 20.0


class CommandFailed(SandboxError):
    """A command of the command line ended with an exit code other than 0."""

    def __init__(self, arguments: Sequence[str], exit_code: int, message: str) -> None:
        super().__init__(f"hedgerow {' '.join(arguments)} ended with {exit_code}: {message.strip()}")
        self.exit_code = exit_code
        self.message = message


def run_command(*arguments: str, addr: str | None = None, seconds: float = 60.0) -> str:
    """Runs the command line as a user does and returns its standard output. Raises CommandFailed."""
    argv = [sys.executable, "-m", "hedgerow", *arguments, *(["--addr", addr] if addr else [])]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=seconds, check=False)
    if ended.returncode != 0:
        raise CommandFailed(arguments, ended.returncode, ended.stderr)
    return ended.stdout


class NodeProcess:
    """One `hedgerow node`. Its id is new on every start; its name, port and log stay."""

    def __init__(
        self,
        name: str,
        directory: Path,
        etcd: Sequence[str],
        settings: Mapping[str, Any],
        port: int | None = None,
        user: Mapping[str, Path] | None = None,
    ) -> None:
        """`port`: where it serves gRPC; a free one otherwise. `user`: settings of TLS for whoever calls it."""
        self._user = dict(user or {})
        self.name = name
        self.address = f"127.0.0.1:{port or free_port()}"
        self.metrics = f"127.0.0.1:{free_port()}"
        self.probes = f"127.0.0.1:{free_port()}"
        self._config = directory / f"{name}.toml"
        values: dict[str, Any] = {
            "name": name,
            "etcd": list(etcd),
            "listen": self.address,
            "metrics": self.metrics,
            "probes": self.probes,
            "log_format": "json",
            "secrets_dirs": [tempfile.gettempdir()],
            **settings,
        }
        self._config.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()))
        self.process = ManagedProcess(
            [sys.executable, "-m", "hedgerow", "node", "--config", str(self._config)],
            name=name,
            log=directory / f"{name}.log",
        )

    def start(self) -> None:
        """Start, and wait until it answers as a member of the cluster."""
        self.process.start()
        self.process.wait_ready(self.answers, START_SECONDS)

    def command(self, *arguments: str, seconds: float = 60.0) -> Any:
        """The JSON document that a command prints when it is sent to this node. Raises CommandFailed."""
        tls = [part for key, value in self._user.items() for part in (f"--{key.replace('_', '-')}", str(value))]
        return json.loads(run_command(*arguments, *tls, "--output", "json", addr=self.address, seconds=seconds))

    def client(self) -> Client:
        """For asking often without a process for each question."""
        return Client(ClientConfig.load(None, {"addr": self.address, **self._user}))

    def probe(self, service: str) -> str:
        """What the node says of itself when an orchestrator asks: see sandbox.probe."""
        return ask(self.probes, service)

    def answers(self) -> bool:
        try:
            listed = self.client().call("ListNodes", pb.ListNodesRequest())
        except HedgerowError:
            return False
        return any(node.info.id.startswith(f"{self.name}-") for node in listed.nodes)


class Cluster:
    """etcd, a source, a sink and nodes on free loopback ports in one temporary directory. A context manager."""

    def __init__(
        self,
        flavour: Flavour,
        nodes: int = 3,
        *,
        etcd_members: int = 1,
        pair: ServerPair | None = None,
        settings: Mapping[str, Any] | None = None,
        source_options: Mapping[str, Any] | None = None,
        sink_options: Mapping[str, Any] | None = None,
        tls: bool = False,
    ) -> None:
        """`pair`: servers that somebody else started and closes. `settings` go into every node's configuration. `tls`:
        nodes and users have certificates; commands are given by the user admin."""
        self.flavour: Flavour = flavour
        self.directory = temporary_directory("cluster")
        self.etcd = EtcdCluster(self.directory / "etcd", members=etcd_members)
        self.authority = Authority(self.directory / "tls") if tls else None
        self.nodes: list[NodeProcess] = []
        self._wanted_nodes = nodes
        self._settings = dict(settings or {})
        self._given_pair = pair
        self._pair = pair
        self._options = (source_options, sink_options)

    @property
    def pair(self) -> ServerPair:
        assert self._pair is not None
        return self._pair

    def start(self) -> None:
        self.etcd.start()
        if self._pair is None:
            self._pair = start_server_pair(self.flavour, *self._options)
        for _ in range(self._wanted_nodes):
            self.add_node().process.start()
        for node in self.nodes:
            node.process.wait_ready(node.answers, START_SECONDS)

    def add_node(self, **settings: Any) -> NodeProcess:
        """One more node, not started yet."""
        name = f"node{len(self.nodes) + 1}"
        whole = {**self._tls_settings(name), **self._settings, **settings}
        node = NodeProcess(name, self.directory, self.etcd.endpoints, whole, user=self.user("admin"))
        self.nodes.append(node)
        return node

    def user(self, name: str) -> dict[str, Path]:
        """What a client of this name needs for TLS."""
        if self.authority is None:
            return {}
        cert, key = self.authority.issue(name)
        return {"tls_ca": self.authority.ca_file, "tls_cert": cert, "tls_key": key}

    def _tls_settings(self, name: str) -> dict[str, Any]:
        if self.authority is None:
            return {}
        roles = {"role_node": [f"CN:node{number}" for number in range(1, 10)], "role_admin": ["CN:admin"]}
        return {**roles, **{key: str(file) for key, file in self.user(name).items()}}

    def command(self, *arguments: str, seconds: float = 60.0) -> Any:
        """Sends a command to the first node that runs, and returns the JSON document it prints."""
        return self.any_node().command(*arguments, seconds=seconds)

    def any_node(self) -> NodeProcess:
        return next(node for node in self.nodes if node.process.running)

    def create(self, name: str, *options: str, start: str = "earliest") -> Any:
        """Creates a changefeed from the source to the sink."""
        uris = ("--source", self.pair.source_uri, "--sink", self.pair.sink_uri)
        return self.command("changefeed", "create", name, *uris, "--start", start, *options)

    def get(self, name: str) -> dict[str, Any]:
        """A changefeed as `changefeed get --output json` prints it. Raises HedgerowError."""
        return changefeed_dict(self.any_node().client().call("Get", pb.ChangefeedRequest(name=name)))

    def owner(self, name: str) -> NodeProcess:
        """The node that owns a changefeed now."""
        return self.node_of(self.get(name)["owner"])

    def node_of(self, node_id: str) -> NodeProcess:
        return next(node for node in self.nodes if node_id.startswith(f"{node.name}-"))

    def coordinator(self) -> NodeProcess:
        listed = self.any_node().client().call("ListNodes", pb.ListNodesRequest())
        return self.node_of(next(node.info.id for node in listed.nodes if node.coordinator))

    def wait_for(self, name: str, seconds: float = 30.0, **wanted: Any) -> Any:
        """Polls `changefeed get` until these keys have these values; the last answer. Raises SandboxError."""
        last: dict[str, Any] = {}

        def matches() -> bool:
            try:
                last.update(self.get(name))
            except HedgerowError as error:
                last["failure"] = str(error)
                return False
            return all(last[key] == value for key, value in wanted.items())

        if not wait_until(matches, seconds, 0.2):
            raise SandboxError(f"changefeed {name} is not {wanted} after {seconds:g} s: {json.dumps(last, indent=1)}")
        return last

    def unreplicated(self) -> list[str]:
        """The tables whose rows matched a filter and had no dispatcher, of every node that lived."""
        found: list[str] = []
        for node in self.nodes:
            if node.process.log.exists():
                lines = node.process.log.read_text().splitlines()
                found += [json.loads(line)["table"] for line in lines if '"event": "table-unreplicated"' in line]
        return found

    def close(self) -> None:
        for node in self.nodes:
            node.process.kill()
        self.etcd.stop()
        if self._pair is not None and self._given_pair is None:
            self._pair.close()
        remove_directory(self.directory)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
