"""Every other node's eye on the coordinator: one whose process is dead is deposed without waiting for its lease.

A health watch is open to the coordinator, so a killed process shows at once as a broken stream. When nobody listens
on its address for the grace time, its lease is revoked, and the next candidate is elected. A coordinator that is only
slow, frozen or cut off keeps its lease until it ends. Deposing one that lives is safe: its writes are guarded by its
term.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from hedgerow.common.control.membership import Membership, NodeInfo
from hedgerow.common.control.rpc import Peers, is_refused
from hedgerow.common.errors import HedgerowError
from hedgerow.coordinator.watch.nodes import RETRY_SECONDS


async def probe_coordinator(membership: Membership, peers: Peers, grace: float) -> None:
    """Until cancelled; raises EtcdUnavailable when the membership is closed."""
    while True:
        target = _coordinator(membership)
        watching: asyncio.Task[None] | None = None
        if target is not None:
            watching = asyncio.create_task(_watch(target, membership, peers, grace), name=f"probe-{target.id}")
        try:
            while _same(_coordinator(membership), target):
                await membership.changed(membership.members.revision)
        finally:
            if watching is not None:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)


def _coordinator(membership: Membership) -> NodeInfo | None:
    """The coordinator, unless it is this node."""
    members = membership.members
    return None if members.coordinator == membership.node else members.nodes.get(members.coordinator or "")


def _same(one: NodeInfo | None, other: NodeInfo | None) -> bool:
    return (one and one.id) == (other and other.id)


async def _watch(info: NodeInfo, membership: Membership, peers: Peers, grace: float) -> None:
    failing_since: float | None = None
    while True:
        stub = health_pb2_grpc.HealthStub(peers.channel(info.address, info.id))
        try:
            async for _ in stub.Watch(health_pb2.HealthCheckRequest(service="")):
                failing_since = None
        except grpc.aio.AioRpcError as error:
            failing_since = failing_since or time.monotonic()
            if is_refused(error) and time.monotonic() - failing_since >= grace:
                with contextlib.suppress(HedgerowError):  # its lease ends by itself
                    await membership.suspect_dead(info.id)
                    return
        await asyncio.sleep(RETRY_SECONDS)
