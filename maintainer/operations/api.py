"""What an operation is: something that a maintainer does with its changefeed's dispatchers besides placing them.

An operation is asked at every step what is to be done now, and answers with commands:

- It is pure: no I/O and no clock. The view has all the facts, and the shell carries out the commands.
- It is level-triggered. The same facts give the same commands, whatever came before, so a new maintainer, which knows
  only what the sink and the dispatchers report, continues where its predecessor was.
- What it keeps from one step to the next only spares repetition (a command that was sent a moment ago). It may be lost
  at any time. Nothing else may be kept: what an operation must remember is written into the sink.

Operations do not know each other. The core gives one view to all and concatenates their commands (`together`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from hedgerow.common.binlog.position import Position
from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.pb.v1 import dispatch_pb2
from hedgerow.common.pb.v1 import model_pb2 as pb

Placed: TypeAlias = Mapping[str, tuple[str, pb.DispatcherStatus]]  # dispatcher -> (node, status)


@dataclass(frozen=True, slots=True)
class View:
    """The facts of one step, to be read and not to be kept: making it costs the same however many dispatchers there
    are, so `placed` and `blocked` are the maintainer's own.

    `dispatchers`: all that have a progress row. `placed`: the incarnations that are where they belong and have been
    seen. `blocked`: those of them that wait at a DDL. `schema_row`: the schema dispatcher's progress row.
    `list_is_latest`: dispatchers, rows and fence are as every DDL that is known to be executed has left them.
    `sessions`: the nodes that can be asked; a node has another number after every Bootstrap, and what was sent under a
    former one may be lost. `is_settled`: whether a dispatcher's unit is in one place, and served there.
    """

    dispatchers: Set[str]
    placed: Placed
    blocked: Set[str]
    schema_row: Position
    flavour: Flavour
    list_is_latest: bool
    sessions: Mapping[str, int]
    is_settled: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class DecideBarrier:
    """Tells dispatchers on one node that are blocked at one DDL what to do. `flushed`, of a WRITE: the generations that
    wait for it; the sink compares them."""

    node: str
    ddl: pb.Ddl
    action: dispatch_pb2.BarrierAction
    dispatchers: tuple[str, ...]
    flushed: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReadSink:
    """Reads the sink again: the progress rows may have changed unseen."""


NodeCommand: TypeAlias = DecideBarrier  # one that is sent to the node that it names
Command: TypeAlias = NodeCommand | ReadSink


class Operation(Protocol):
    def step(self, view: View, now: float) -> Sequence[Command]:
        """What is to be done now; only nodes in `view.sessions` can be sent anything. `now` in seconds of a clock that
        does not go back. Raises HistoryDiverged where positions cannot be compared."""
        ...


def together(operations: Iterable[Operation], view: View, now: float) -> tuple[Command, ...]:
    """One step of each, in their order."""
    return tuple(command for operation in operations for command in operation.step(view, now))
