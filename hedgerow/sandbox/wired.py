"""A cluster whose every wire can be cut, for one node at a time: to etcd, to its peers, to the source, to the sink.

Each node has proxies of its own to the etcd members and is reached by its peers through one. Source and sink are
reached through one proxy each, which tells the nodes apart by their processes. What users and tests ask goes past the
proxies, and to a node that is well.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any, Literal

from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.accounts import SINK_USER, SOURCE_USER
from hedgerow.sandbox.cluster import Cluster, NodeProcess
from hedgerow.sandbox.ports import free_port
from hedgerow.sandbox.process import SandboxError
from hedgerow.sandbox.proxy import FaultProxy
from hedgerow.sandbox.refusals import Refusals, refusals

How = Literal["cut", "stall"]
LEASE_SECONDS = 10  # a drill has 0.8 of it to replace a frozen node and to thaw it while its session is valid


@dataclass(frozen=True, slots=True)
class _Wires:
    etcd: tuple[FaultProxy, ...]
    inbound: FaultProxy


class WiredCluster(Cluster):
    """`how` is "cut" (connections are reset) or "stall" (nothing arrives any more); `heal` fixes everything."""

    def __init__(self, flavour: Flavour, nodes: int = 3) -> None:
        super().__init__(flavour, nodes, etcd_members=3, settings={"lease_ttl": LEASE_SECONDS})
        self._wires: dict[str, _Wires] = {}
        self._frozen: set[str] = set()
        self._unwell: set[str] = set()
        self._source: FaultProxy | None = None
        self._sink: FaultProxy | None = None
        self._before_kill: dict[str, Refusals] = {}

    @property
    def source_proxy(self) -> FaultProxy:
        assert self._source is not None
        return self._source

    @property
    def sink_proxy(self) -> FaultProxy:
        assert self._sink is not None
        return self._sink

    def start(self) -> None:
        super().start()
        self._source = FaultProxy(self.pair.source.port)
        self._sink = FaultProxy(self.pair.sink.port)

    def add_node(self, **settings: Any) -> NodeProcess:
        name, port = f"node{len(self.nodes) + 1}", free_port()
        etcd = tuple(FaultProxy(int(endpoint.rpartition(":")[2])) for endpoint in self.etcd.endpoints)
        wires = self._wires[name] = _Wires(etcd, FaultProxy(port))
        own = {"advertise": wires.inbound.address, **settings}
        node = NodeProcess(name, self.directory, [each.address for each in etcd], {**self._settings, **own}, port)
        self.nodes.append(node)
        return node

    def create(self, name: str, *options: str, start: str = "earliest") -> Any:
        source = self.pair.source.account(SOURCE_USER).at(self.source_proxy.host, self.source_proxy.port)
        sink = self.pair.sink.account(SINK_USER).at(self.sink_proxy.host, self.sink_proxy.port)
        uris = ("--source", source.uri, "--sink", sink.uri)
        return self.command("changefeed", "create", name, *uris, "--start", start, *options)

    def any_node(self) -> NodeProcess:
        """One that no fault has touched, if there is any: one that was thawed may be about to begin again."""
        running = [node for node in self.nodes if node.process.running and node.name not in self._frozen]
        running.sort(key=lambda node: node.name in self._unwell)
        if not running:
            raise SandboxError("every node is dead or frozen")
        return running[0]

    def is_frozen(self, node: NodeProcess) -> bool:
        return node.name in self._frozen

    # -- faults -------------------------------------------------------------------------------------------------------

    def freeze(self, node: NodeProcess) -> None:
        node.process.freeze()
        self._frozen.add(node.name)
        self._unwell.add(node.name)

    def thaw(self, node: NodeProcess) -> None:
        node.process.thaw()
        self._frozen.discard(node.name)

    def kill(self, node: NodeProcess) -> None:
        """SIGKILL; what it has counted until now is kept."""
        with contextlib.suppress(SandboxError):  # it has only just been started
            if node.process.running and node.name not in self._frozen:
                self._before_kill[node.name] = self._before_kill.get(node.name, Refusals()) + refusals(node.metrics)
        node.process.kill()
        self._wires[node.name].inbound.cut()  # nobody listens there any more
        self._frozen.discard(node.name)

    def start_node(self, node: NodeProcess) -> None:
        """One that has ended; without waiting."""
        self._wires[node.name].inbound.resume()
        node.process.start()

    def cut_off_from_etcd(self, node: NodeProcess, how: How = "stall") -> None:
        self._unwell.add(node.name)
        for proxy in self._wires[node.name].etcd:
            _break(proxy, how)

    def cut_off_from_peers(self, node: NodeProcess, how: How = "stall") -> None:
        """In both directions."""
        self._unwell.add(node.name)
        for name, wires in self._wires.items():
            if name == node.name:
                _break(wires.inbound, how)
            else:
                _break(wires.inbound, how, node.process.pid)

    def cut_off_from_sink(self, node: NodeProcess, how: How = "stall") -> None:
        _break(self.sink_proxy, how, node.process.pid)

    def cut_off_from_source(self, node: NodeProcess, how: How = "stall") -> None:
        _break(self.source_proxy, how, node.process.pid)

    def heal(self) -> None:
        """Heals every wire, thaws what is frozen, and starts what has ended. Returns when all nodes answer."""
        self.heal_wires()
        for node in self.nodes:
            if node.name in self._frozen:
                self.thaw(node)
        for number, member in enumerate(self.etcd.members):
            if not member.running:
                self.etcd.restart(number)
            member.thaw()
        for node in self.nodes:
            if not node.process.running:
                self.start_node(node)
        for node in self.nodes:
            node.process.wait_ready(node.answers, 30.0)
        self._unwell.clear()

    def heal_wires(self) -> None:
        for node in self.nodes:
            wires = self._wires[node.name]
            for proxy in wires.etcd:
                proxy.resume()
            if node.process.running:
                wires.inbound.resume()
        self.source_proxy.resume()
        self.sink_proxy.resume()

    # -- what was refused ---------------------------------------------------------------------------------------------

    def refusals(self) -> dict[str, Refusals]:
        """By node, since it was first started; of a node that is frozen, or was killed while frozen, what is known."""
        found = {}
        for node in self.nodes:
            now = Refusals()
            if node.process.running and node.name not in self._frozen:
                now = refusals(node.metrics)
            found[node.name] = self._before_kill.get(node.name, Refusals()) + now
        return found

    def close(self) -> None:
        for node in self.nodes:
            node.process.kill()
        super().close()
        for wires in self._wires.values():
            for proxy in (*wires.etcd, wires.inbound):
                proxy.close()
        for each in (self._source, self._sink):
            if each is not None:
                each.close()


def _break(proxy: FaultProxy, how: How, pid: int | None = None) -> None:
    if pid is None:
        (proxy.cut if how == "cut" else proxy.stall)()
    else:
        (proxy.cut_process if how == "cut" else proxy.stall_process)(pid)
