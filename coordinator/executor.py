"""Carries out what the reconciler decides: a task for each changefeed, so that a slow call delays no other changefeed.

Order, for one changefeed: the outcome of a write is known before the next decision is carried out, so an epoch is in
etcd before a message carries it. A message that waits for an answer is given up when it is decided to write, or to send
for a newer epoch. Whatever fails here is made good by deciding again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
import structlog

from hedgerow.common.control.rpc import to_error
from hedgerow.common.errors import EtcdUnavailable, IllegalTransition, NodeUnavailable, TermLost
from hedgerow.common.etcd import EtcdRefused
from hedgerow.common.pb.v1 import maintainer_pb2 as mpb
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.common.pb.v1.maintainer_pb2_grpc import MaintainerHostStub
from hedgerow.coordinator import metrics
from hedgerow.coordinator.cache import ChangefeedCache
from hedgerow.coordinator.changefeed import Changefeed, as_of
from hedgerow.coordinator.decisions import (
    Advance,
    Decision,
    MarkClosed,
    SaveCheckpoint,
    SendAdd,
    SendRemove,
    SetFailed,
    change_for,
)
from hedgerow.coordinator.store import ChangefeedStore, Written
from hedgerow.coordinator.watch.nodes import NodeWatch

log = structlog.get_logger()

# The same message to the same owner is not repeated sooner: its effect needs a moment to show in the node's report.
REPEAT_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class _Running:
    task: asyncio.Task[None]
    sends: bool
    epoch: int


class Executor:
    """Owned by one term. Its tasks live in `group`: the first TermLost or SessionLost ends the term."""

    def __init__(
        self,
        store: ChangefeedStore,
        table: ChangefeedCache,
        nodes: Callable[[str], NodeWatch | None],
        group: asyncio.TaskGroup,
        wake: Callable[[], None],
        call_timeout: float,
        current_as_of: Callable[[Changefeed], float | None] = lambda _: None,
    ) -> None:
        """`current_as_of`: of a changefeed, what is known of it (seconds since 1970)."""
        self.refused: dict[str, int] = {}
        self.saved_at: dict[str, float] = {}
        self._store = store
        self._table = table
        self._nodes = nodes
        self._group = group
        self._wake = wake
        self._call_timeout = call_timeout
        self._current_as_of = current_as_of
        self._busy: dict[str, _Running] = {}
        self._sent: dict[str, tuple[int, float]] = {}  # name: epoch and monotonic time of the latest message

    def start(self, changefeed: Changefeed, decision: Decision) -> None:
        """Begins to carry out `decision`, which was made from `changefeed`, unless that is busy with another."""
        sends = isinstance(decision, SendAdd | SendRemove)
        running = self._busy.get(changefeed.name)
        if running is not None:
            if not running.sends or (sends and running.epoch >= changefeed.epoch):
                return
            running.task.cancel()
        elif sends and self._sent_lately(changefeed):
            return
        task = self._group.create_task(self._carry_out(changefeed, decision), name=f"decision-{changefeed.name}")
        self._busy[changefeed.name] = _Running(task, sends, changefeed.epoch)

    def forget(self, uids: set[str], names: set[str]) -> None:
        """Drops what is remembered of changefeeds that are not among these any more."""
        self.refused = {uid: epoch for uid, epoch in self.refused.items() if uid in uids}
        self.saved_at = {name: at for name, at in self.saved_at.items() if name in names}
        self._sent = {name: sent for name, sent in self._sent.items() if name in names}

    def _sent_lately(self, changefeed: Changefeed) -> bool:
        epoch, at = self._sent.get(changefeed.name, (0, 0.0))
        return epoch == changefeed.epoch and time.monotonic() - at < REPEAT_SECONDS

    async def _carry_out(self, changefeed: Changefeed, decision: Decision) -> None:
        try:
            match decision:
                case SendAdd():
                    await self._add(changefeed)
                case SendRemove():
                    await self._remove(changefeed)
                case _:
                    await self._write(changefeed, decision)
        except (EtcdUnavailable, EtcdRefused, NodeUnavailable, IllegalTransition) as error:
            log.warning(
                "decision-failed", changefeed=changefeed.name, decision=type(decision).__name__, error=str(error)
            )
            await asyncio.sleep(REPEAT_SECONDS)
        finally:
            running = self._busy.get(changefeed.name)
            if running is not None and running.task is asyncio.current_task():
                del self._busy[changefeed.name]
                self._wake()

    async def _write(self, changefeed: Changefeed, decision: Decision) -> None:
        assert not isinstance(decision, SendAdd | SendRemove)
        change = as_of(change_for(changefeed, decision, time.time()), self._current_as_of(changefeed))
        written = await self._store.write(changefeed, change, timeout=self._call_timeout)
        self._table.wrote(changefeed.name, written)
        if not written.done:
            return
        if isinstance(decision, SaveCheckpoint | MarkClosed):
            self.saved_at[changefeed.name] = time.time()
        self._tell(changefeed, decision, written)

    def _tell(self, changefeed: Changefeed, decision: Decision, written: Written) -> None:
        after = written.changefeed
        if isinstance(decision, SaveCheckpoint):
            return
        fields = {"epoch": after.epoch, "owner": after.ownership.node} if after is not None else {}
        if isinstance(decision, Advance):
            metrics.OWNERSHIP_CHANGES.labels(decision.cause).inc()
            fields["reason"] = decision.reason
        elif isinstance(decision, SetFailed):
            metrics.OWNERSHIP_CHANGES.labels("failed").inc()
            fields["error"] = decision.error.message
        log.info("changefeed-decided", changefeed=changefeed.name, decision=type(decision).__name__, **fields)

    async def _add(self, changefeed: Changefeed) -> None:
        request = mpb.AddMaintainerRequest(
            stamp=changefeed.stamp(self._store.term).write(), spec=changefeed.spec, begun=changefeed.begun
        )
        await self._call(changefeed, lambda host: host.AddMaintainer(request, timeout=self._call_timeout))

    async def _remove(self, changefeed: Changefeed) -> None:
        request = mpb.RemoveMaintainerRequest(
            stamp=changefeed.stamp(self._store.term).write(),
            spec=changefeed.spec,
            forget=changefeed.ownership.role == pb.REMOVE,
        )
        await self._call(changefeed, lambda host: host.RemoveMaintainer(request, timeout=self._call_timeout))

    async def _call(self, changefeed: Changefeed, call: Callable[[MaintainerHostStub], Any]) -> None:
        node = self._nodes(changefeed.ownership.node)
        if node is None:
            return
        self._sent[changefeed.name] = (changefeed.epoch, time.monotonic())
        try:
            answer = await call(node.host())
        except grpc.aio.AioRpcError as error:
            raise NodeUnavailable(str(to_error(error, node.info.address))) from None
        self._judge(changefeed, answer)

    def _judge(self, changefeed: Changefeed, answer: mpb.AddMaintainerResponse | mpb.RemoveMaintainerResponse) -> None:
        """A refusal tells who is obeyed there. The next epoch will be above it."""
        if not answer.HasField("rejection"):
            return
        rejection = answer.rejection
        log.warning(
            "owner-refused",
            changefeed=changefeed.name,
            node=changefeed.ownership.node,
            epoch=changefeed.epoch,
            verdict=pb.Verdict.Name(rejection.verdict),
            current_epoch=rejection.current.epoch,
            current_node=rejection.current.node,
            closed=rejection.closed,
            term=rejection.term,
        )
        if rejection.term > self._store.term:
            raise TermLost(f"node {changefeed.ownership.node} obeys the coordinator of term {rejection.term}")
        highest = max(rejection.current.epoch, rejection.closed)
        self.refused[changefeed.uid] = max(highest, self.refused.get(changefeed.uid, 0))
