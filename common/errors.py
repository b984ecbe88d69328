"""Every error that Hedgerow raises on purpose, and the policy each one carries.

    HedgerowError
    ├── UserError                 the request is wrong; nothing was changed
    │   ├── BadInput              a name, URI, filter, position or option that is invalid
    │   │   └── SecretUnreadable  a password or certificate that a URI names is not on this node; a retry succeeds
    │   │                         once it is
    │   ├── NotFound              no such changefeed, node, dispatcher
    │   ├── AlreadyExists         the name is taken
    │   ├── IllegalTransition     not possible in the changefeed's current state
    │   ├── Unauthenticated       the caller has no certificate or token that the node accepts
    │   ├── Forbidden             the caller is not allowed to call this
    │   ├── LimitExceeded         more concurrent calls, or a larger message, than one caller is allowed
    │   └── PreflightFailed       source or sink is not usable; carries every problem with its fix
    ├── Unavailable               a server or node does not answer; transient
    │   ├── EtcdUnavailable
    │   ├── SourceUnavailable
    │   ├── SinkUnavailable
    │   └── NodeUnavailable
    ├── LostOwnership             another owner has taken over; stop at once, never retry
    │   ├── Fenced                the sink refused: fence row above, or progress row re-claimed
    │   ├── Rejected              a node refused the stamp
    │   ├── TermLost              this coordinator is deposed
    │   └── SessionLost           this node's etcd session is over
    └── ReplicationError          the changefeed cannot continue until a user acts
        ├── BinlogPurged          the source no longer has the position
        ├── BinlogReset           the source's binlog was reset: the position is beyond its end or not in it
        ├── HistoryDiverged       the source lacks transactions that the sink has applied
        ├── BinlogCorrupt         a checksum is wrong, or an event is malformed
        ├── UnsupportedEvent      an unknown event, INCIDENT, statement-format DML
        ├── TableUnreplicated     rows of a table that matches the filter and that no dispatcher replicates
        ├── SinkDiverged          a row is missing, or exists already (1032, 1062, 1452)
        ├── SinkRefused           the sink refuses for a permanent reason (grant, packet size, table)
        ├── DdlFailed             a DDL statement failed in the sink
        └── DdlUncertain          whether the sink has executed a DDL statement cannot be determined

`retriable`: trying again, unchanged, may succeed. After any other ReplicationError the changefeed is `failed` and waits
for a user. `status`: what a gRPC caller gets. `code` is stable, for scripts. Messages say what was found, where, and
what to do; they never hold a password.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import grpc


class HedgerowError(Exception):
    """The root of the hierarchy. Raise one of its leaves, never this class itself."""

    retriable: ClassVar[bool] = False
    status: ClassVar[grpc.StatusCode] = grpc.StatusCode.INTERNAL

    @property
    def code(self) -> str:
        return type(self).__name__


class UserError(HedgerowError):
    status = grpc.StatusCode.INVALID_ARGUMENT


class BadInput(UserError):
    pass


class SecretUnreadable(BadInput):
    """Concerns one node, and says nothing about the changefeed."""

    retriable = True


class NotFound(UserError):
    status = grpc.StatusCode.NOT_FOUND


class AlreadyExists(UserError):
    status = grpc.StatusCode.ALREADY_EXISTS


class IllegalTransition(UserError):
    status = grpc.StatusCode.FAILED_PRECONDITION


class Unauthenticated(UserError):
    status = grpc.StatusCode.UNAUTHENTICATED


class Forbidden(UserError):
    status = grpc.StatusCode.PERMISSION_DENIED


class LimitExceeded(UserError):
    status = grpc.StatusCode.RESOURCE_EXHAUSTED


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that preflight found wrong, and the statement or setting that fixes it."""

    found: str
    fix: str

    def __str__(self) -> str:
        return f"{self.found}\n    fix: {self.fix}"


class PreflightFailed(UserError):
    status = grpc.StatusCode.FAILED_PRECONDITION

    def __init__(self, problems: Sequence[Problem]) -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(f"preflight found {count}:\n" + "\n".join(f"  - {problem}" for problem in problems))
        self.problems = tuple(problems)


class Unavailable(HedgerowError):
    retriable = True
    status = grpc.StatusCode.UNAVAILABLE


class EtcdUnavailable(Unavailable):
    pass


class SourceUnavailable(Unavailable):
    pass


class SinkUnavailable(Unavailable):
    pass


class NodeUnavailable(Unavailable):
    pass


class LostOwnership(HedgerowError):
    """`epoch` is the highest epoch that the refusal reports; 0 if it reports none."""

    status = grpc.StatusCode.ABORTED

    def __init__(self, message: str, epoch: int = 0) -> None:
        super().__init__(message)
        self.epoch = epoch


class Fenced(LostOwnership):
    """Refused inside the sink's transaction, which was rolled back."""


class Rejected(LostOwnership):
    """A node refused the stamp; the message names its current owner."""


class TermLost(LostOwnership):
    pass


class SessionLost(LostOwnership):
    pass


class ReplicationError(HedgerowError):
    status = grpc.StatusCode.FAILED_PRECONDITION


class BinlogPurged(ReplicationError):
    pass


class BinlogReset(ReplicationError):
    pass


class HistoryDiverged(ReplicationError):
    pass


class BinlogCorrupt(ReplicationError):
    pass


class UnsupportedEvent(ReplicationError):
    """`place`: file and offset where the event ends, if it belongs to no transaction."""

    def __init__(self, message: str, place: tuple[str, int] | None = None) -> None:
        super().__init__(message)
        self.place = place


class TableUnreplicated(ReplicationError):
    pass


class SinkDiverged(ReplicationError):
    """`refused`: the transaction of the source (its GTID; file and offset where the event that announces it ends) and
    the table that the refused row is of, where that was found."""

    def __init__(self, message: str, refused: tuple[str, str, int, str] | None = None) -> None:
        super().__init__(message)
        self.refused = refused


class SinkRefused(ReplicationError):
    pass


class DdlFailed(ReplicationError):
    pass


class DdlUncertain(ReplicationError):
    pass


def kind_of(code: str) -> type[HedgerowError]:
    """The error that a message names by its code; the root if the code is from another version of Hedgerow."""
    found = globals().get(code)
    return found if isinstance(found, type) and issubclass(found, HedgerowError) else HedgerowError


def loses_ownership(code: str) -> bool:
    """Whether the error means that another owner has taken over, which is no reason to stop a changefeed."""
    return issubclass(kind_of(code), LostOwnership)
