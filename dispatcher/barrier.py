"""A stream at a DDL: which of its dispatchers wait for the maintainer, and how its decisions are carried out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from common.ddlscope import dropped, touched
from common.errors import Fenced, HedgerowError
from common.metrics import rejected
from common.pb.v1 import dispatch_pb2
from common.pb.v1 import model_pb2 as pb
from common.position import Position
from common.sinktables import SCHEMA_DISPATCHER
from dispatcher.decision import Decision
from dispatcher.feed import Target
from dispatcher.port import LaneFailed
from dispatcher.sink.cut import Cut
from dispatcher.sink.ddl import execute_ddl
from dispatcher.sink.writer import Writer
from dispatcher.source.statements import Statement
from dispatcher.spec import Spec


class Barrier:
    """One DDL. `position` is its end, and counts the whole of a transaction that it begins. `begin` is where the
    dispatchers that it creates begin. `dropped`: keys of the stream's dispatchers that end with it."""

    def __init__(
        self, spec: Spec, writer: Writer, ddl: pb.Ddl, position: Position, begin: Position, statement: Statement
    ) -> None:
        self._spec = spec
        self._writer = writer
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

    def read(self, decisions: Sequence[Decision], blocked: Collection[str]) -> tuple[bool, set[str]]:
        """(whether the schema dispatcher is to write the DDL, dispatchers that are to pass)."""
        write = False
        passed: set[str] = set()
        for decision in decisions:
            about = decision.dispatchers & set(blocked)
            if decision.action == dispatch_pb2.PASS:
                passed |= about
            else:
                write = write or SCHEMA_DISPATCHER in about
        self.was_decided = self.was_decided or write or bool(passed)
        return write, passed - {SCHEMA_DISPATCHER} if write else passed

    def write(self, generation: int, cut: Cut) -> None:
        """Executes the DDL in the sink, unless it came from there; blocks as long as it takes, or until `cut`.
        `generation`: the schema dispatcher's.

        Raises LaneFailed, about the schema dispatcher.
        """
        try:
            execute_ddl(
                self._spec.sink,
                self._spec.flavour,
                self._writer,
                generation,
                self._ddl,
                self.position,
                self._statement.session,
                begin=self._begin,
                cut=cut,
                executed=self._statement.is_ours,
                raw=self._statement.raw,
                error_code=self._statement.error_code,
            )
        except HedgerowError as error:
            if isinstance(error, Fenced):
                rejected("sink", "stale", changefeed=self._spec.name, what="ddl", reason=str(error))
            raise LaneFailed({SCHEMA_DISPATCHER}, error) from error
