"""One node as the coordinator sees it: what it reports, and whether it answers.

A long poll on the node's MaintainerHost.Status is always open, so a report arrives as soon as something changed there
and a broken connection is noticed at once. A node is *suspected* when its calls have failed for the grace time, or when
a call was not answered at all; the first answer ends that. Suspicion costs a move when it was wrong, never safety.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import grpc
import structlog

from hedgerow.common.control.membership import NodeInfo
from hedgerow.common.control.rpc import Peers, is_refused, to_error
from hedgerow.common.errors import TermLost
from hedgerow.common.pb.v1 import maintainer_pb2 as mpb
from hedgerow.common.pb.v1 import maintainer_pb2_grpc

log = structlog.get_logger()

RETRY_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class WatchConfig:
    """Seconds."""

    grace: float = 0.3  # calls must fail this long before the node is suspected
    poll: float = 1.0  # the longest that a node lets a long poll wait
    unanswered: float = 3.0  # beyond `poll`: the node does not answer


class NodeWatch:
    """Owned by one coordinator's term. `run` polls until it is cancelled; raises TermLost when the node knows a newer
    coordinator."""

    def __init__(
        self,
        info: NodeInfo,
        term: int,
        peers: Peers,
        changed: Callable[[], None],
        refused: Callable[[], Awaitable[None]],
        config: WatchConfig,
    ) -> None:
        """`changed` is called after every change of what is seen here, `refused` once each time that nobody has
        listened on the node's address for the grace time: its process is dead."""
        self.info = info
        self.report: Mapping[str, mpb.MaintainerStatus] | None = None
        self.dispatchers = 0
        self.suspected = False
        self.reported_at = 0.0  # seconds since 1970
        self.reports = 0
        self._term = term
        self._peers = peers
        self._changed = changed
        self._refused = refused
        self._config = config
        self._said_refused = False

    def host(self) -> maintainer_pb2_grpc.MaintainerHostStub:
        return maintainer_pb2_grpc.MaintainerHostStub(self._peers.channel(self.info.address, self.info.id))

    async def run(self) -> None:
        version = 0
        failing_since: float | None = None
        while True:
            try:
                answer = await self._poll(version)
            except grpc.aio.AioRpcError as error:
                failing_since = failing_since or time.monotonic()
                await self._judge(error, time.monotonic() - failing_since)
                version = 0
                await asyncio.sleep(RETRY_SECONDS)
                continue
            failing_since = None
            version = answer.version
            self._take(answer)

    async def _poll(self, version: int) -> mpb.StatusResponse:
        wait_ms = round(self._config.poll * 1000)
        request = mpb.StatusRequest(term=self._term, seen_version=version, wait_ms=wait_ms)
        answer: mpb.StatusResponse = await self.host().Status(
            request, timeout=self._config.poll + self._config.unanswered
        )
        if answer.HasField("rejection") and answer.rejection.term > self._term:
            raise TermLost(f"node {self.info.id} obeys the coordinator of term {answer.rejection.term}")
        return answer

    def _take(self, answer: mpb.StatusResponse) -> None:
        if answer.node and answer.node != self.info.id:
            # Another process took the address over; this node is gone, and only its lease has not ended yet.
            self._suspect(f"node {answer.node} answers at {self.info.address}")
            return
        if self.suspected:
            log.info("node-answers-again", node=self.info.id)
        self.suspected = self._said_refused = False
        self.report = MappingProxyType({status.stamp.uid: status for status in answer.maintainers})
        self.dispatchers = answer.dispatchers
        self.reported_at = time.time()
        self.reports += 1
        self._changed()

    async def _judge(self, error: grpc.aio.AioRpcError, failing: float) -> None:
        unanswered = error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        if not unanswered and failing < self._config.grace:
            return
        self._suspect(str(to_error(error, self.info.address)))
        if is_refused(error) and not self._said_refused:
            self._said_refused = True
            await self._refused()

    def _suspect(self, why: str) -> None:
        if self.suspected:
            return
        log.warning("node-suspected", node=self.info.id, address=self.info.address, reason=why)
        self.suspected = True
        self.report = None
        self._changed()
