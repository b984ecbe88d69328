"""One `hedgerow node` process: lives of a node, one after the other, until it is told to stop.

A life is one etcd session and one node id. Order matters at both of its ends. It begins with joining the cluster, then
listens; whoever sees the node in etcd may call it a moment later and tries again until it answers. When the session is
lost, lanes are stopped before anything else, the rest is taken down, and the next life begins. When a stop is asked
for, the node hands over while it still lives: it turns DRAINING and coordinates no more, coordinator and maintainers
move its work away, and then it leaves. Nothing is closed under what still runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import os
import signal
import time
from importlib.metadata import version

import structlog
from prometheus_client import start_http_server

from hedgerow.common.config import NodeConfig, split_address
from hedgerow.common.control.membership import Membership
from hedgerow.common.control.rpc import Peers, Server
from hedgerow.common.control.security.build import Security
from hedgerow.common.errors import BadInput, EtcdUnavailable, HedgerowError, LostOwnership
from hedgerow.common.etcd import Etcd, EtcdConfig, EtcdRefused
from hedgerow.common.ids import Keys
from hedgerow.common.mysql import hosts, secrets
from hedgerow.common.pb.v1 import admin_pb2_grpc, dispatch_pb2_grpc, maintainer_pb2_grpc
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.coordinator.admin.service import AdminService
from hedgerow.coordinator.coordinator import Coordinator
from hedgerow.coordinator.preflight.run import preflight
from hedgerow.dispatcher.control.service import DispatchService
from hedgerow.maintainer.host import HostService
from hedgerow.probes import Probes

log = structlog.get_logger()

_REJOIN_PAUSE_SECONDS = 0.5
_REVOKE_SECONDS = 1.0
_SERVER_GRACE_SECONDS = 0.5
# After the drain deadline, everything that is left is cut; what hangs even then is left to the fence.
_HARD_STOP_SECONDS = 10.0


async def run_node(config: NodeConfig) -> int:
    """Runs until SIGTERM or SIGINT. Returns the exit code; raises BadInput, and at the first start EtcdRefused, and
    EtcdUnavailable after `etcd_patience`. Once it has been a member it outlasts whatever etcd does."""
    secrets.restrict(config.secrets_dirs, config.password_env_prefix)
    secrets.reserve(config.own_files)
    hosts.restrict(config.allowed_hosts)
    security = Security.build(config)
    stop = _Stop(config.drain_deadline)
    faulthandler.register(signal.SIGUSR1)  # where every thread is, to stderr
    gc.freeze()  # collecting garbage stops all threads; it need not look at what was imported, which takes 30 ms
    if config.metrics is not None:
        _serve_metrics(config.metrics)
    async with Probes(config.probes) as probes:
        await _live(config, stop, probes, security)
    log.info("stopped")
    return 0


async def _live(config: NodeConfig, stop: _Stop, probes: Probes, security: Security) -> None:
    """One life after the other."""
    patient_until = time.monotonic() + config.etcd_patience
    joined_before = False
    former: int | None = None  # the lease of the life before
    while not stop.asked.is_set():
        try:
            async with Etcd(_etcd_config(config)) as etcd:
                membership = await Membership.join(
                    etcd,
                    cluster=config.cluster,
                    name=config.name,
                    address=config.advertise or config.listen,
                    version=version("hedgerow"),
                    ttl=config.lease_ttl,
                )
                joined_before = True
                if former is not None:
                    await _revoke(etcd, former)
                former = membership.session.lease
                life = _Life(config, etcd, membership, security)
                with probes.ready_while(lambda: life.takes_work and not stop.asked.is_set()):  # noqa: B023 - this one
                    await life.run(stop)
        except (EtcdUnavailable, EtcdRefused, LostOwnership) as error:
            patient = isinstance(error, EtcdUnavailable) and time.monotonic() < patient_until
            if not joined_before and not patient:
                raise
            log.warning("not-joined", error=str(error))
        if not stop.asked.is_set():
            await asyncio.sleep(_REJOIN_PAUSE_SECONDS)


async def _revoke(etcd: Etcd, lease: int) -> None:
    """A lease of a lost session has expired, unless keepalives that the network held back have prolonged it: then peers
    take the former life for a member that does not answer."""
    with contextlib.suppress(EtcdUnavailable, EtcdRefused):
        await etcd.revoke_lease(lease, timeout=_REVOKE_SECONDS)


class _Stop:
    """What signals ask for: the first to hand over and stop, the second to stop without handing over."""

    def __init__(self, drain_deadline: float) -> None:
        self.asked = asyncio.Event()
        self.at_once = asyncio.Event()
        self._deadline = drain_deadline
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled)

    def _signalled(self) -> None:
        if self.asked.is_set():
            log.warning("stopping-at-once")
            self.at_once.set()
            return
        log.info("stopping", drain_deadline=self._deadline)
        self.asked.set()
        loop = asyncio.get_running_loop()
        loop.call_later(self._deadline, self.at_once.set)
        loop.call_later(self._deadline + _HARD_STOP_SECONDS, _exit_hard)


def _exit_hard() -> None:
    log.error("stop-hangs", after_seconds=_HARD_STOP_SECONDS)
    os._exit(1)


class _Life:
    """Everything that belongs to one node id."""

    def __init__(self, config: NodeConfig, etcd: Etcd, membership: Membership, security: Security) -> None:
        self._config = config
        self._membership = membership
        self._log = log.bind(node=membership.node)
        self._security = security
        self._peers = Peers(security.tls, lambda node: node in membership.members.nodes)
        self._dispatch = DispatchService(membership.node, config)
        self._host = HostService(membership, self._peers, membership.node, self._drain, self._dispatch.dispatcher_count)
        self._coordinator = Coordinator(membership, etcd, Keys(config.cluster), self._peers)
        self._admin = AdminService(self._coordinator, membership, self._peers, preflight)
        age = config.tls_connection_age if security.tls else None
        self._server = Server(security.peers, connection_age=age)
        self._listening = False
        v1 = "hedgerow.v1"
        self._server.add(f"{v1}.Admin", admin_pb2_grpc.add_AdminServicer_to_server, self._admin)
        self._server.add(f"{v1}.MaintainerHost", maintainer_pb2_grpc.add_MaintainerHostServicer_to_server, self._host)
        self._server.add(f"{v1}.Dispatch", dispatch_pb2_grpc.add_DispatchServicer_to_server, self._dispatch)
        self._servers = [self._server]
        if security.tokens is not None:
            self._token_server = Server(security.tokens, for_users=True, connection_age=age)
            self._token_server.add(f"{v1}.Admin", admin_pb2_grpc.add_AdminServicer_to_server, self._admin)
            self._servers.append(self._token_server)

    async def _listen(self) -> None:
        tls = self._security.tls
        await self._server.start(self._config.listen, tls.server_credentials(client_certificates=True) if tls else None)
        if tls is not None and self._config.token_listen is not None:
            await self._token_server.start(self._config.token_listen, tls.server_credentials(client_certificates=False))

    @property
    def takes_work(self) -> bool:
        """Whether it is a member that the others can reach and may give work to. The session's clock tells, so that a
        node that was cut off from etcd knows by itself."""
        membership = self._membership
        return self._listening and membership.session.valid and membership.info.liveness == pb.ALIVE

    async def run(self, stop: _Stop) -> None:
        """Until the session is lost or a stop is asked for. Leaves nothing behind."""
        coordinating = None
        try:
            await self._listen()
            self._listening = True
            coordinating = asyncio.create_task(self._coordinator.run(), name="coordinator")
            session = self._membership.session
            await _first(session.lost.wait(), stop.asked.wait(), coordinating)
            if coordinating.done() and not session.lost.is_set() and not stop.asked.is_set():
                self._judge_end(coordinating)
            if not session.lost.is_set():
                await self._hand_over(stop, coordinating)
            if session.lost.is_set():
                self._fence_locally()
        finally:
            await self._take_down(coordinating)

    def _judge_end(self, coordinating: asyncio.Task[None]) -> None:
        """A node that cannot take part any more ends this life, also where the session does not know yet. Raises
        defects."""
        try:
            coordinating.result()
        except HedgerowError as error:
            self._membership.session.declare_lost(f"the coordinator's part of the node ended: {error}")

    def _fence_locally(self) -> None:
        self._dispatch.local_fence()
        self._host.local_fence()
        self._log.error("session-lost", reason=self._membership.session.reason)

    async def _drain(self) -> None:
        """The coordinator asks for it (`hedgerow node drain`)."""
        if self._membership.info.liveness == pb.ALIVE:
            await self._membership.set_liveness(pb.DRAINING)
            self._log.info("draining")

    async def _hand_over(self, stop: _Stop, coordinating: asyncio.Task[None]) -> None:
        """Waits until the node has no work left, as long as there is anybody to take it."""
        with contextlib.suppress(HedgerowError):
            await _first(self._leave(coordinating), stop.at_once.wait(), self._membership.session.lost.wait())

    async def _leave(self, coordinating: asyncio.Task[None]) -> None:
        await self._drain()
        await _end(coordinating)
        await self._without_work()
        await self._membership.set_liveness(pb.STOPPING)

    async def _without_work(self) -> None:
        while self._has_heirs() and (  # noqa: ASYNC110
            self._host.maintainer_count() or self._dispatch.dispatcher_count()
        ):
            await asyncio.sleep(0.05)

    def _has_heirs(self) -> bool:
        nodes = self._membership.members.nodes.values()
        return any(node.liveness == pb.ALIVE and node.id != self._membership.node for node in nodes)

    async def _take_down(self, coordinating: asyncio.Task[None] | None) -> None:
        """Who gives orders first, who carries them out last; then the session, so that peers see it at once."""
        if coordinating is not None:
            await _end(coordinating)
        await self._host.close()
        await self._dispatch.close()
        await self._membership.close()
        await asyncio.gather(*(server.stop(_SERVER_GRACE_SECONDS) for server in self._servers))
        await self._peers.close()


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _first(*waits: object) -> None:
    """Returns when the first of these ends; coroutines among them are cancelled then, tasks are left alone. Raises what
    ended a coroutine."""
    owned = [asyncio.ensure_future(wait) for wait in waits if asyncio.iscoroutine(wait)]
    given = [wait for wait in waits if isinstance(wait, asyncio.Task)]
    try:
        done, _ = await asyncio.wait([*owned, *given], return_when=asyncio.FIRST_COMPLETED)
        for task in done.intersection(owned):
            task.result()
    finally:
        for task in owned:
            task.cancel()
        await asyncio.gather(*owned, return_exceptions=True)


def _serve_metrics(address: str) -> None:
    host, port = split_address(address)
    try:
        start_http_server(port, host)
    except OSError as error:
        raise BadInput(f"cannot serve metrics on {address}: {error.strerror}; give another with --metrics") from None


def _etcd_config(config: NodeConfig) -> EtcdConfig:
    return EtcdConfig(
        endpoints=config.etcd,
        ca_file=config.etcd_ca,
        cert_file=config.etcd_cert,
        key_file=config.etcd_key,
        username=config.etcd_user or "",
        password=config.read_etcd_password if config.etcd_user else None,
    )
