"""The owner of one changefeed: one `Maintainer` per changefeed and epoch, and one task that decides.

Order of a start: Bootstrap to all nodes (healthy dispatchers move to the new epoch without stopping), then the sink's
fence (what did not answer is fenced), then adoption, then placement of what is missing. After that the task wakes on
heartbeats, acknowledgements, members and links, and takes one step: orders, the operations' commands, checkpoint,
report. A step does no I/O; what to do is the core's to say (core.py), calls belong to the links (links.py, link.py),
SQL to the store (store.py). Which operations there are is said here, and nowhere else.

It ends by itself only with a phase that says why: SUPERSEDED when a node or the sink obeys another owner, ERRED with
the error otherwise. When it is cancelled its dispatchers keep running for the successor: it never closes them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import assert_never

import structlog

from hedgerow.common.ddlscope import ddl_id
from hedgerow.common.epoch import Stamp
from hedgerow.common.errors import HedgerowError, LostOwnership, NodeUnavailable, NotFound
from hedgerow.common.pb.v1 import dispatch_pb2, maintainer_pb2
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.common.reporting import report_error
from hedgerow.maintainer.bootstrap import Inventory
from hedgerow.maintainer.core import Core
from hedgerow.maintainer.fleet import Orders
from hedgerow.maintainer.lags import ChangefeedLags
from hedgerow.maintainer.link import Timing, sequence
from hedgerow.maintainer.links import Links
from hedgerow.maintainer.members import MembersSource, NodeChannels
from hedgerow.maintainer.operations.api import Command, DecideBarrier, ReadSink
from hedgerow.maintainer.operations.barrier import DdlBarrier
from hedgerow.maintainer.reporting import as_retriable, worst
from hedgerow.maintainer.store import SinkStore, SinkView

log = structlog.get_logger()

_GATHER_SECONDS = 0.005  # what comes in together is one step
READ_SHARE = 4  # the sink is not read again for so many times as long as it took, unless somebody waits for it


class _GaveUp(Exception):
    """A dispatcher or a node has an error that is not the maintainer's to fix."""

    def __init__(self, error: pb.ChangefeedError) -> None:
        super().__init__(error.message)
        self.error = error


class Maintainer:
    """Created and used in the event loop. `on_change` is called when `status()` has changed; it must not block."""

    def __init__(
        self,
        stamp: Stamp,
        spec: pb.ChangefeedSpec,
        members: MembersSource,
        channels: NodeChannels,
        on_change: Callable[[], None],
        *,
        begun: bool = False,
        timing: Timing | None = None,
    ) -> None:
        """`begun`: as for SinkStore. Raises BadInput where the spec cannot be used."""
        self._stamp = stamp
        self._spec = spec
        self._members = members
        self._on_change = on_change
        self._timing = timing or Timing()
        self._store = SinkStore(spec, stamp, begun=begun)
        operations = (DdlBarrier(self._timing.repeat),)
        self._core = Core(stamp.uid, spec.options, self._store.flavour, operations)
        self._lags = ChangefeedLags()
        self._seqs = sequence()
        self._links = Links(stamp, spec, members, channels, self, self._seqs, self._timing)
        self._read: asyncio.Task[SinkView] | None = None
        self._read_began = self._read_after = self._retry_at = 0.0
        self._ended_by: HedgerowError | None = None
        self._seen_epoch = 0
        self._phase: maintainer_pb2.MaintainerPhase = maintainer_pb2.BOOTSTRAPPING
        self._errors: dict[str, pb.ChangefeedError] = {}
        self._published: object = None
        self._published_at = 0.0
        self._endings: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._log = log.bind(changefeed=spec.name, uid=stamp.uid, epoch=stamp.epoch)
        self._task = asyncio.create_task(self._run(), name=f"maintainer-{spec.name}-{stamp.epoch}")

    # For the host.

    def cancel(self) -> None:
        """Asks it to end, at once. Dispatchers keep running."""
        self._task.cancel()

    async def stop(self) -> None:
        """Cancels it and awaits the end of all its tasks."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def place(self, dispatcher: str, node: str) -> None:
        """Moves a dispatcher, with all that are tied to it. Raises NotFound, NodeUnavailable."""
        if self._phase == maintainer_pb2.BOOTSTRAPPING:
            raise NodeUnavailable(f"the maintainer of changefeed {self._spec.name} is starting; try again")
        if dispatcher not in self._core.dispatchers:
            raise NotFound(f"changefeed {self._spec.name} has no dispatcher {dispatcher!r}; see `changefeed get`")
        if node not in self._members.members.nodes:
            raise NotFound(f"there is no node {node!r}; see `node list`")
        if node not in self._links.eligible:
            raise NodeUnavailable(f"node {node} is leaving or does not answer: it cannot host {dispatcher} now")
        self._core.pin(dispatcher, node)
        self._wake.set()

    def status(self) -> maintainer_pb2.MaintainerStatus:
        placed = self._core.placed()
        hosts = {node for node, _ in placed.values()}
        now = asyncio.get_running_loop().time()
        lag = self._lags.at(hosts, now, everyone_is_placed=placed.keys() == self._core.dispatchers)
        report = maintainer_pb2.MaintainerStatus(
            stamp=self._stamp.write(),
            phase=self._phase,
            error=worst(self._errors.values()),
            lag_seconds=lag.seconds if lag is not None else 0.0,
            rows=self._core.applied.rows,
            transactions=self._core.applied.transactions,
            seen_epoch=self._seen_epoch,
            lag=lag.write() if lag is not None else None,
        )
        for _, (node, status) in sorted(placed.items()):
            shown = report.dispatchers.add()
            shown.CopyFrom(status)
            shown.node = node
        if self._core.checkpoint is not None:
            report.checkpoint.CopyFrom(self._core.checkpoint.write())
        return report

    # The task.

    async def _run(self) -> None:
        helpers = [asyncio.create_task(self._watch_members())]
        try:
            await self._bootstrap()
            helpers.append(asyncio.create_task(self._check_rows()))
            while True:
                self._step()
                await self._sleep()
        except LostOwnership as error:
            self._seen_epoch = error.epoch
            self._end(maintainer_pb2.SUPERSEDED, report_error(error, self._stamp.node))
        except _GaveUp as error:
            self._end(maintainer_pb2.ERRED, error.error)
        except Exception as error:
            if not isinstance(error, HedgerowError):
                self._log.exception("maintainer-failed")
            self._end(maintainer_pb2.ERRED, report_error(error, self._stamp.node))
        finally:
            if self._read is not None:
                helpers.append(self._read)  # type: ignore[arg-type]
            helpers += self._endings
            for task in helpers:
                task.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            await self._links.close()

    async def _bootstrap(self) -> None:
        self._log.info("maintainer-begins", nodes=sorted(self._members.members.nodes))
        try:
            async with asyncio.timeout(self._timing.bootstrap):
                self._links.sync()
                while self._links.silent and self._ended_by is None:
                    await self._sleep()
                    self._sync_links()
        except TimeoutError:
            self._log.warning("nodes-silent", nodes=self._links.silent)
        self._check_ownership()
        self._core.view_begins()
        view = await self._store.take_over(self._core.served())
        self._check_ownership()
        self._core.begin(view, next(self._seqs))
        self._phase = maintainer_pb2.MAINTAINING
        self._log.info("maintainer-ready", dispatchers=len(self._core.dispatchers), nodes=sorted(self._links.ready))

    def _step(self) -> None:
        """Everything that follows from what is known now."""
        self._check_ownership()
        self._sync_links()
        now = asyncio.get_running_loop().time()
        self._take_view(now)
        step = self._core.step(self._may_host(), self._links.ready, now)
        if step.broken is not None:
            raise _GaveUp(step.broken)
        for node, orders in step.orders.items():
            self._log.info("orders", node=node, create=len(orders.create), remove=len(orders.remove))
            self._links.send(node, orders)
        for command in step.commands:
            self._carry_out(command)
        if step.must_read and self._read is None and self._may_read(now):
            self._read_began = now
            self._core.view_begins()
            self._read = asyncio.create_task(self._store.read())
            self._read.add_done_callback(lambda _: self._wake.set())
        self._set_error("dispatchers", step.error)
        self._judge_nodes()
        self._publish(now, may_advance=not step.must_read and self._read is None)

    def _carry_out(self, command: Command) -> None:
        match command:
            case DecideBarrier():
                action = dispatch_pb2.BarrierAction.Name(command.action)
                self._log.info("barrier", action=action, node=command.node, at=ddl_id(command.ddl))
                self._links.send(command.node, command)
            case ReadSink():
                self._core.ask_for_view()
            case _:
                assert_never(command)

    def _may_host(self) -> set[str]:
        """Where dispatchers may go. Nowhere while the own node leaves: maintainers leave before dispatchers, and the
        successor would drop what is under way and begin again."""
        own = self._members.members.nodes.get(self._stamp.node)
        return self._links.eligible if own is not None and own.liveness == pb.ALIVE else set()

    def _may_read(self, now: float) -> bool:
        """Not all the time, while tables are created one after another and nobody waits for them."""
        return now >= self._retry_at and (now >= self._read_after or self._core.somebody_waits)

    def _take_view(self, now: float) -> None:
        if self._read is None or not self._read.done():
            return
        read, self._read = self._read, None
        self._read_after = now + READ_SHARE * (now - self._read_began)
        try:
            self._core.take_view(read.result())
        except HedgerowError as error:
            if not error.retriable:
                raise
            self._core.ask_for_view()
            self._retry_at = now + self._timing.read_retry
            self._set_error("sink", report_error(error, self._stamp.node))
        else:
            self._set_error("sink", None)

    def _judge_nodes(self) -> None:
        problem = worst(self._links.errors)
        if problem is not None and not problem.retriable:
            if self._links.none_fit:
                raise _GaveUp(problem)
            problem = as_retriable(problem)  # others serve, or may come back: no reason to stop the changefeed
        if problem is None and not self._links.eligible and not self._core.placed():
            error = NodeUnavailable("no node that may host dispatchers answers: start one, or end the draining")
            problem = report_error(error, self._stamp.node)
        self._set_error("nodes", problem)

    async def _check_rows(self) -> None:
        """Whether the sink has lost progress rows. A start does not wait for it: it needs the source."""
        while True:
            try:
                await self._store.check_rows()
                self._set_error("filter", None)
                self._wake.set()
                return
            except LostOwnership as error:
                self.lost_ownership(error)
                return
            except HedgerowError as error:
                self._log.warning("filter-not-checked", error=str(error))
                if not error.retriable:
                    self._ended_by = self._ended_by or error
                    self._wake.set()
                    return
                self._set_error("filter", report_error(error, self._stamp.node))
                self._wake.set()
                await asyncio.sleep(self._timing.read_retry)

    async def _watch_members(self) -> None:
        revision = self._members.members.revision
        while True:
            try:
                revision = (await self._members.changed(revision)).revision
            except HedgerowError:
                return  # the membership is closed: this node's life is over, and the host stops us
            self._wake.set()

    # What the links tell.

    def entered(self, node: str, response: dispatch_pb2.BootstrapResponse, seq: int) -> None:
        self._core.enter(node, Inventory.read(response), seq)
        self._wake.set()

    def beat(self, node: str, response: dispatch_pb2.HeartbeatResponse, seq: int) -> None:
        self._core.observe(node, response, seq)
        self._lags.observe(node, response, asyncio.get_running_loop().time())
        self._wake.set()

    def acknowledged(self, node: str, orders: Orders, seq: int) -> None:
        self._core.acknowledge(node, orders, seq)
        self._wake.set()

    def link_changed(self, node: str) -> None:
        if self._links.is_out(node):
            self._lose(node)
        self._wake.set()

    def lost_ownership(self, error: LostOwnership) -> None:
        self._ended_by = self._ended_by or error
        self._wake.set()

    def _sync_links(self) -> None:
        for node in self._links.sync():
            self._lose(node)

    def _lose(self, node: str) -> None:
        lost = self._core.lose(node)
        self._lags.lose(node)
        if lost and self._phase == maintainer_pb2.MAINTAINING:
            task = asyncio.create_task(self._end_sessions(node, lost))
            self._endings.add(task)
            task.add_done_callback(self._endings.discard)

    async def _end_sessions(self, node: str, lost: frozenset[tuple[str, int]]) -> None:
        try:
            await self._store.end_sessions(lost)
        except LostOwnership as error:
            self.lost_ownership(error)
        except HedgerowError as error:  # who claims the dispatchers ends them, after a while
            self._log.warning("sessions-not-ended", node=node, error=str(error))

    def _check_ownership(self) -> None:
        if self._ended_by is not None:
            raise self._ended_by

    async def _sleep(self) -> None:
        """Until something happens, at most until the next report is due."""
        try:
            async with asyncio.timeout(self._timing.publish):
                await self._wake.wait()
                await asyncio.sleep(_GATHER_SECONDS)
        except TimeoutError:
            pass
        self._wake.clear()

    # Reports.

    def _set_error(self, what: str, error: pb.ChangefeedError | None) -> None:
        if error is None:
            self._errors.pop(what, None)
        else:
            self._errors[what] = error

    def _publish(self, now: float, *, may_advance: bool) -> None:
        """Changes of substance at once, positions and counters now and then."""
        error = worst(self._errors.values())
        substance = (self._phase, error and (error.code, error.message, error.dispatcher), self._core.version)
        if substance == self._published and now - self._published_at < self._timing.publish:
            return
        self._published, self._published_at = substance, now
        if may_advance:
            self._core.advance()
        self._on_change()

    def _end(self, phase: maintainer_pb2.MaintainerPhase, error: pb.ChangefeedError) -> None:
        name = maintainer_pb2.MaintainerPhase.Name(phase)
        self._log.warning("maintainer-ends", phase=name, code=error.code, error=error.message)
        self._phase = phase
        self._errors = {"end": error}
        self._on_change()
