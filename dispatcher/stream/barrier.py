"""A stream at a DDL: which of its dispatchers wait for the maintainer, and how its decisions are carried out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from hedgerow.common.binlog.position import Position
from hedgerow.common.binlog.skips import way_past
from hedgerow.common.ddlscope import created, dropped, exactly_touched, touched
from hedgerow.common.errors import DdlFailed, DdlUncertain, Fenced, HedgerowError, UnsupportedEvent
from hedgerow.common.ledger.schema import SCHEMA_DISPATCHER
from hedgerow.common.metrics import rejected
from hedgerow.common.pb.v1 import dispatch_pb2
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.sink.api import NotFlushed, SchemaChange, Sink
from hedgerow.dispatcher.source.statements import Statement
from hedgerow.dispatcher.spec import Spec
from hedgerow.dispatcher.stream.decision import BarrierDecision
from hedgerow.dispatcher.stream.intake import Target
from hedgerow.dispatcher.stream.lane_queue import LaneFailed
from hedgerow.dispatcher.stream.origin import completed


class StreamBarrier:
    """One DDL. `position` is its end, and counts the whole of a transaction that it begins. `begin` is where the
    dispatchers that it creates begin. `dropped`: keys of the stream's dispatchers that end with it."""

    def __init__(
        self,
        spec: Spec,
        sink: Sink,
        ddl: pb.Ddl,
        position: Position,
        begin: Position,
        statement: Statement,
    ) -> None:
        self._spec = spec
        self._sink = sink
        self._ddl = ddl
        self._statement = statement
        self.position = position
        self._begin = begin
        self.dropped: frozenset[str] = frozenset()
        self.was_decided = False

    def block(self, targets: Iterable[Target]) -> set[str]:
        """Which of these dispatchers wait: those that the DDL touches, and the one that executes it."""
        keys = {target.key for target in targets}
        self.dropped = dropped(self._ddl, keys)
        return {*touched(self._ddl, keys), *self.dropped, *(keys & {SCHEMA_DISPATCHER})}

    @property
    def only_creates(self) -> bool:
        """Whether it touches only what it creates: tables that most likely have no dispatcher yet."""
        keys = exactly_touched(self._ddl)
        return bool(keys) and keys == created(self._ddl)

    def read(
        self, decisions: Sequence[BarrierDecision], blocked: Collection[str]
    ) -> tuple[BarrierDecision | None, set[str]]:
        """(the decision that the schema dispatcher is to write the DDL, dispatchers that are to pass)."""
        write: BarrierDecision | None = None
        passed: set[str] = set()
        for decision in decisions:
            about = decision.dispatchers & set(blocked)
            if decision.action == dispatch_pb2.PASS:
                passed |= about
            elif SCHEMA_DISPATCHER in about:
                write = decision  # the last one: who decided it knew most
        self.was_decided = self.was_decided or write is not None or bool(passed)
        return write, passed - {SCHEMA_DISPATCHER} if write is not None else passed

    def write(self, generation: int, flushed: Mapping[str, int]) -> bool:
        """Executes the DDL in the sink, unless it came from there; blocks as long as it takes, or until the sink is
        cut. False where the sink has other dispatchers that it touches than those `flushed`: then nothing was done, and
        another decision is to come. `generation`: the schema dispatcher's.

        Raises LaneFailed, about the schema dispatcher.
        """
        try:
            change = SchemaChange(
                self._to_execute(),
                self.position,
                self._begin,
                completed(self._statement.session, self._statement.text, self._spec.source),
                _edited(self._statement.raw, self._ddl.edits),
                self._statement.error_code,
                executed=self._statement.is_ours or self._ddl.skipped,
            )
            self._sink.execute(change, generation, flushed)
        except NotFlushed as error:
            if self.was_decided:  # else it was only tried
                rejected("sink", "stale", changefeed=self._spec.name, what="ddl", reason=str(error))
            return False
        except HedgerowError as error:
            if isinstance(error, Fenced):
                rejected("sink", "stale", changefeed=self._spec.name, what="ddl", reason=str(error))
            if isinstance(error, DdlFailed | DdlUncertain | UnsupportedEvent):
                error = type(error)(f"{error}. {self._way_past}")
            raise LaneFailed({SCHEMA_DISPATCHER}, error) from error
        return True

    def _to_execute(self) -> pb.Ddl:
        """Raises UnsupportedEvent where it is refused: here, everything before it is applied, as the user finds it."""
        ddl = self._ddl
        if ddl.refusal:
            raise UnsupportedEvent(ddl.refusal)
        if ddl.skipped and ddl.scope == pb.EVERYTHING:
            found = self._sink.unlisted()
            ddl = pb.Ddl()
            ddl.CopyFrom(self._ddl)
            ddl.creates.extend(name.write() for name in found)
        return ddl

    @property
    def _way_past(self) -> str:
        place = self._ddl.position
        return way_past(self._spec.name, self._statement.gtid, place.file, place.offset)


def _edited(raw: bytes, edits: Iterable[pb.Edit]) -> bytes:
    pieces, done = [], 0
    for edit in edits:
        pieces += [raw[done : edit.at], edit.text]
        done = edit.until
    return b"".join(pieces) + raw[done:]
