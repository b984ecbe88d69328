"""The operations on changefeeds that users ask of the coordinator, within one term.

An operation writes the wanted state to etcd; the reconciler does the rest, and the operation waits for the outcome. It
can therefore be repeated: a second call finds what is written, and waits for the same outcome. `deadline` is on
time.monotonic(). Every operation raises TermLost when the term ends under it, and EtcdUnavailable.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import structlog

from hedgerow.common.binlog.position import Position
from hedgerow.common.binlog.skips import Skip, one_gtid, place, table_key
from hedgerow.common.binlog.startpoint import split_start
from hedgerow.common.errors import (
    AlreadyExists,
    BadInput,
    IllegalTransition,
    NodeUnavailable,
    NotFound,
    PreflightFailed,
    Problem,
    TermLost,
)
from hedgerow.common.ids import changefeed_name, new_changefeed_uid
from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.mysql.filter import TableFilter
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.common.options import DEFAULTS
from hedgerow.common.pb.v1 import admin_pb2 as apb
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.coordinator import changefeed as edits
from hedgerow.coordinator import metrics
from hedgerow.coordinator.admin.chains import chain_problems
from hedgerow.coordinator.admin.nodes import NodeOperations
from hedgerow.coordinator.admin.options import (
    reaches_other_data,
    read_filter,
    read_options,
    read_source_and_sink,
    updated_spec,
    with_skip,
)
from hedgerow.coordinator.admin.overlaps import overlap_problems
from hedgerow.coordinator.admin.skipping import find
from hedgerow.coordinator.changefeed import Change, Changefeed, timestamp
from hedgerow.coordinator.preflight.progress import has_progress, joining
from hedgerow.coordinator.reconcile import newer_checkpoint
from hedgerow.coordinator.states import Trigger, next_state
from hedgerow.coordinator.store import Written
from hedgerow.coordinator.term import Term, left

log = structlog.get_logger()

# An operation that is written is confirmed by what the nodes do next; this long it is worth a user's wait.
_SHOW_SECONDS = 3.0


class PreflightResult(Protocol):
    """What the operations need of a preflight's result."""

    @property
    def flavour(self) -> str: ...

    @property
    def start_position(self) -> Position: ...

    @property
    def warnings(self) -> Sequence[Problem]: ...


class Preflight(Protocol):
    """Looks at source and sink for changefeed `name`; `names`: of this cluster's changefeeds, by uid. Blocking. Raises
    PreflightFailed, SourceUnavailable, SinkUnavailable, BadInput."""

    def __call__(
        self,
        source: ServerUri,
        sink: ServerUri,
        table_filter: TableFilter,
        start: str,
        name: str,
        names: Mapping[str, str],
    ) -> PreflightResult: ...


class Operations:
    """A view on a term; make one for each call."""

    def __init__(self, term: Term, preflight: Preflight) -> None:
        self._term = term
        self._preflight = preflight
        self.nodes = NodeOperations(term)

    def get(self, name: str) -> apb.Changefeed:
        """Raises NotFound."""
        return self._render(self._changefeed(name))

    def list(self) -> apb.ListResponse:
        changefeeds = self._term.table.changefeeds
        return apb.ListResponse(changefeeds=[self._render(changefeeds[name]) for name in sorted(changefeeds)])

    async def create(self, request: apb.CreateChangefeedRequest, deadline: float) -> apb.Changefeed:
        """Raises BadInput, AlreadyExists, PreflightFailed, NodeUnavailable."""
        name = changefeed_name(request.name)
        rules = read_filter(request.filter)
        source, sink = read_source_and_sink(request.source, request.sink)
        options = read_options(request.options, DEFAULTS)
        if (taken := self._term.table.changefeeds.get(name)) is not None:
            state = "is being removed" if taken.status.state == pb.REMOVED else "exists"
            raise AlreadyExists(f"a changefeed named {name} {state}; choose another name")
        start = request.start or "now"
        split_start(start)
        resolved = await self._look(name, source, sink, rules, start)
        now = time.time()
        spec = pb.ChangefeedSpec(
            name=name,
            uid=new_changefeed_uid(),
            source=str(source),
            sink=str(sink),
            filter=rules,
            start=start,
            start_position=resolved.start_position.write(),
            flavour=resolved.flavour,
            options=options,
            created=timestamp(now),
            warnings=edits.warnings(resolved.warnings),
        )
        ownership = edits.first_ownership(spec.uid, self._any_node(), "created by user", now)
        status = pb.ChangefeedStatus(state=next_state(name, None, Trigger.CREATE))
        changefeed = await self._term.store.create(spec, ownership, status, timeout=left(deadline))
        self._wrote(changefeed)
        metrics.OWNERSHIP_CHANGES.labels("created").inc()
        return await self._shown(changefeed, deadline)

    async def pause(self, name: str, deadline: float) -> apb.Changefeed:
        """Returns when the stop is confirmed. Raises NotFound, IllegalTransition, NodeUnavailable where the deadline
        comes first."""
        term = self._term

        def decide(changefeed: Changefeed) -> Change:
            checkpoint = newer_checkpoint(changefeed, term.live(changefeed))
            return edits.pause(changefeed, self._executor(changefeed), checkpoint, time.time())

        written = await self._edit(name, decide, deadline, "paused")

        def stopped() -> Changefeed | None:
            changefeed = self._changefeed(name)
            return (
                changefeed
                if changefeed.ownership.closed or changefeed.running or changefeed.uid != written.uid
                else None
            )

        changefeed = await term.until(stopped, left(deadline))
        if changefeed is None:
            why = self._why_not_closed(self._changefeed(name))
            raise NodeUnavailable(f"changefeed {name} is paused, but its stop is not confirmed yet: {why}")
        return self._render(changefeed)

    async def resume(self, name: str, deadline: float) -> apb.Changefeed:
        """Raises NotFound, IllegalTransition, NodeUnavailable."""

        def decide(changefeed: Changefeed) -> Change:
            return edits.resume(changefeed, self._any_node(changefeed.ownership.node), time.time())

        return await self._shown(await self._edit(name, decide, deadline, "resumed"), deadline)

    async def update(self, request: apb.UpdateChangefeedRequest, deadline: float) -> apb.Changefeed:
        """Raises NotFound, BadInput, PreflightFailed, IllegalTransition; SinkUnavailable where the sink is another."""
        changefeed = self._changefeed(request.name)
        next_state(changefeed.name, changefeed.status.state, Trigger.UPDATE)
        spec = updated_spec(changefeed.spec, request)
        self._check_move(changefeed, spec)
        warnings = list(changefeed.spec.warnings)
        if reaches_other_data(changefeed.spec, spec):
            source, sink = read_source_and_sink(spec.source, spec.sink)
            resolved = await self._look(changefeed.name, source, sink, spec.filter, "now")
            found = list(resolved.warnings)
            if changefeed.begun and list(spec.filter) != list(changefeed.spec.filter):
                filters = TableFilter.parse(changefeed.spec.filter), TableFilter.parse(spec.filter)
                found = [*await asyncio.to_thread(joining, sink, changefeed.uid, *filters), *found]
            warnings = edits.warnings(found)
            if resolved.flavour != spec.flavour:
                raise BadInput(
                    f"changefeed {changefeed.name} replicates {spec.flavour}; the new servers are {resolved.flavour}"
                )
            if spec.sink != changefeed.spec.sink and changefeed.begun:
                await self._check_known(changefeed, sink)

        def decide(found: Changefeed) -> Change:
            changed = updated_spec(found.spec, request)
            self._check_move(found, changed)
            del changed.warnings[:]
            changed.warnings.extend(warnings)
            return edits.update(found, changed, time.time()) if changed != found.spec else Change()

        return await self._shown(await self._edit(request.name, decide, deadline, "updated"), deadline)

    def _check_move(self, changefeed: Changefeed, changed: pb.ChangefeedSpec) -> None:
        """Servers change only while there is no writer: an owner that continues in the former sink is fenced there by
        the close, and by nothing else. Raises IllegalTransition."""
        if (changed.source, changed.sink) == (
            changefeed.spec.source,
            changefeed.spec.sink,
        ) or changefeed.ownership.closed:
            return
        if changefeed.running:
            raise IllegalTransition(
                f"changefeed {changefeed.name} is running: its source and sink can be changed only while it is "
                "stopped. Pause it (hedgerow changefeed pause), update it, and resume it"
            )
        why = self._why_not_closed(changefeed)
        raise IllegalTransition(
            f"changefeed {changefeed.name} is still stopping ({why}): its servers can be changed once that is confirmed"
        )

    async def _check_known(self, changefeed: Changefeed, sink: ServerUri) -> None:
        """Raises BadInput where the sink is not one that this changefeed has written to, SinkUnavailable."""
        if not await asyncio.to_thread(has_progress, sink, changefeed.uid):
            raise BadInput(
                f"sink {sink.address} has no progress of changefeed {changefeed.name} (uid {changefeed.uid}) in "
                "schema hedgerow: it is not the server that was replicated to, or it is a copy without that schema. "
                "Create a new changefeed for it, with --start at the position of its tables"
            )

    async def skip(self, request: apb.SkipRequest, deadline: float) -> apb.Changefeed:
        """Leaves one transaction of the source out, from the next resume on. Raises NotFound, IllegalTransition,
        BadInput, SourceUnavailable."""
        changefeed = self._changefeed(request.name)
        self._check_skippable(changefeed)
        at = place(request.at) if request.at else ("", 0)
        if bool(request.at) == bool(request.transaction):
            raise BadInput("name the transaction: either with --transaction GTID, or with --at FILE:OFFSET")
        flavour: Flavour = "mariadb" if changefeed.spec.flavour == "mariadb" else "mysql"
        gtid = one_gtid(flavour, request.transaction) if request.transaction else ""
        tables = [table_key(table, TableFilter.parse(changefeed.spec.filter)) for table in request.tables]
        begin = changefeed.status.checkpoint if changefeed.begun else changefeed.spec.start_position
        start = Position.read(begin)
        if gtid and start.gtid_set and Skip(gtid).is_before(start, flavour):
            raise BadInput(
                f"changefeed {changefeed.name} is already past transaction {gtid}: its checkpoint is {start}"
            )
        found = await asyncio.to_thread(find, ServerUri.parse(changefeed.spec.source), start, gtid, at)
        skip = pb.Skip(
            gtid=found.gtid,
            file="" if found.gtid else found.file,
            offset=0 if found.gtid else found.offset,
            tables=tables,
            at=timestamp(time.time()),
            by=request.by[:200],
            what=found.what[:1000],
        )

        def is_past(each: pb.Skip) -> bool:
            return Skip.read(each).is_before(start, flavour)

        def decide(current: Changefeed) -> Change:
            self._check_skippable(current)
            changed = with_skip(current.spec, skip, is_past)
            return edits.update(current, changed, time.time()) if changed != current.spec else Change()

        log.warning("transaction-to-leave-out", changefeed=changefeed.name, gtid=skip.gtid, by=skip.by, what=skip.what)
        return self._render(await self._edit(request.name, decide, deadline, "updated"))

    @staticmethod
    def _check_skippable(changefeed: Changefeed) -> None:
        if changefeed.status.state == pb.NORMAL:
            raise IllegalTransition(
                f"changefeed {changefeed.name} is running: only a transaction that it stops at can be left out. If "
                "you mean one that is still to come, pause the changefeed first"
            )
        next_state(changefeed.name, changefeed.status.state, Trigger.UPDATE)

    async def remove(self, name: str, deadline: float) -> None:
        """Returns when only the fence's tombstone is left of it. Raises NotFound, NodeUnavailable."""

        def decide(changefeed: Changefeed) -> Change:
            return edits.remove(changefeed, self._executor(changefeed), time.time())

        written = await self._edit(name, decide, deadline, "removed")

        def gone() -> bool | None:
            changefeed = self._term.table.changefeeds.get(name)
            return True if changefeed is None or changefeed.uid != written.uid else None

        if not await self._term.until(gone, left(deadline)):
            why = self._why_not_closed(self._changefeed(name))
            raise NodeUnavailable(f"changefeed {name} is being removed, but that is not confirmed yet: {why}")

    async def move_maintainer(self, name: str, node: str, deadline: float) -> apb.Changefeed:
        """Raises NotFound, IllegalTransition, NodeUnavailable if that node cannot be given work."""
        watch = self.nodes.find(node)
        target = watch.info.id
        if watch.suspected or watch.info.liveness != pb.ALIVE:
            state = "does not answer" if watch.suspected else f"is {pb.Liveness.Name(watch.info.liveness).lower()}"
            raise NodeUnavailable(f"node {target} {state}; choose another one (hedgerow node list)")

        def decide(changefeed: Changefeed) -> Change:
            return edits.move(changefeed, target, "moved by user", time.time())

        return await self._shown(await self._edit(name, decide, deadline, "moved"), deadline)

    async def move_dispatcher(self, request: apb.MoveDispatcherRequest, deadline: float) -> apb.Changefeed:
        """As NodeOperations.place_dispatcher."""
        await self.nodes.place_dispatcher(self._changefeed(request.name), request.dispatcher, request.node, deadline)
        return self.get(request.name)

    async def _look(
        self, name: str, source: ServerUri, sink: ServerUri, rules: Sequence[str], start: str
    ) -> PreflightResult:
        changefeeds = self._term.table.changefeeds.values()
        others = [changefeed.spec for changefeed in changefeeds if changefeed.status.state != pb.REMOVED]
        problems = chain_problems(name, source, sink, others) + overlap_problems(name, sink, rules, others)
        if problems:
            raise PreflightFailed(problems)
        names = {spec.uid: spec.name for spec in others}
        resolved = await asyncio.to_thread(self._preflight, source, sink, TableFilter.parse(rules), start, name, names)
        for warning in resolved.warnings:
            log.warning("preflight-warning", changefeed=name, found=warning.found, fix=warning.fix)
        return resolved

    def _changefeed(self, name: str) -> Changefeed:
        changefeed = self._term.table.changefeeds.get(name)
        if changefeed is None:
            raise NotFound(f"there is no changefeed named {name}")
        return changefeed

    async def _edit(self, name: str, decide: Callable[[Changefeed], Change], deadline: float, cause: str) -> Changefeed:
        before = self._changefeed(name).epoch

        def decided(changefeed: Changefeed) -> Change:
            return edits.as_of(decide(changefeed), self._term.lags.current_as_of(changefeed))

        changefeed = await self._term.store.edit(name, decided, timeout=left(deadline))
        self._wrote(changefeed)
        if changefeed.epoch > before:
            metrics.OWNERSHIP_CHANGES.labels(cause).inc()
        return changefeed

    def _wrote(self, changefeed: Changefeed) -> None:
        self._term.table.wrote(changefeed.name, Written(True, changefeed, changefeed.revisions.newest))

    def _any_node(self, preferred: str = "") -> str:
        node = self._term.place(preferred)
        if node is None:
            raise NodeUnavailable("there is no live node that answers: start one (hedgerow node)")
        return node

    def _executor(self, changefeed: Changefeed) -> str:
        """The node that carries out a stop. If none can, the owner on record, until the reconciler finds a node."""
        return self._term.place(changefeed.ownership.node) or changefeed.ownership.node

    def _why_not_closed(self, changefeed: Changefeed) -> str:
        status = self._term.live(changefeed)
        watch = self._term.watches.get(changefeed.ownership.node)
        if status is not None and status.HasField("error"):
            return f"node {changefeed.ownership.node} reports: {status.error.message}"
        if watch is None or watch.suspected:
            return f"node {changefeed.ownership.node} does not answer, and no other one has taken over"
        return f"node {changefeed.ownership.node} has not finished"

    async def _shown(self, changefeed: Changefeed, deadline: float) -> apb.Changefeed:
        """Waits a moment for the maintainer's first report: the change is made with or without it."""
        if changefeed.running:
            with contextlib.suppress(TermLost):
                await self._term.until(lambda: self._term.live(changefeed), min(_SHOW_SECONDS, left(deadline)))
        return self._render(self._term.table.changefeeds.get(changefeed.name, changefeed))

    def _render(self, changefeed: Changefeed) -> apb.Changefeed:
        live = self._term.live(changefeed)
        shown = apb.Changefeed(
            spec=changefeed.spec, ownership=changefeed.ownership, status=changefeed.status, live=live
        )
        now = time.time()
        lag = self._term.lags.of(changefeed, live, now)
        if lag is not None:
            shown.lag.CopyFrom(lag.write())
            if not lag.is_known:
                shown.lag_unknown_since.CopyFrom(timestamp(now - lag.seconds))
        return shown
