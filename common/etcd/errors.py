"""What can go wrong with etcd, and the pure judgement of a status that an attempt ended with.

    EtcdUnavailable (common.errors)  no endpoint answered within the deadline; names them and their last causes
    └── Ambiguous                    the same, for a transaction that may have been applied, or may still be
    EtcdRefused                      etcd answered and will not do it: permission, login, size, space
    └── LeaseNotFound                the lease is over
    Compacted                        the revision asked for is no longer in etcd's history

`judge` knows etcd's messages because its codes do not tell them apart: UNAVAILABLE is both "no leader" (refused before
anything was proposed) and "server stopped" (proposed, outcome unknown). Source: etcd, api/v3rpc/rpctypes/error.go.
"""

from __future__ import annotations

import enum

import grpc

from hedgerow.common.errors import EtcdUnavailable, HedgerowError


class Ambiguous(EtcdUnavailable):
    """Whether the transaction was applied is not known, and it may be applied later still.

    Read again and write with a compare on the mod revision that was read: as soon as that write is in, the lost one
    cannot be applied any more.
    """


class EtcdRefused(HedgerowError):
    status = grpc.StatusCode.FAILED_PRECONDITION


class LeaseNotFound(EtcdRefused):
    pass


class Compacted(HedgerowError):
    """Events from `asked` on are gone; `oldest` is the first revision that can be watched."""

    retriable = True

    def __init__(self, asked: int, oldest: int) -> None:
        super().__init__(f"etcd has compacted its history up to revision {oldest}; revision {asked} was asked for")
        self.asked = asked
        self.oldest = oldest


class Judgement(enum.Enum):
    NOT_APPLIED = enum.auto()  # did not reach etcd, or was turned away at the door: try elsewhere
    UNKNOWN = enum.auto()  # may have been applied: trying again is for what can be repeated
    LOGIN = enum.auto()  # not applied: the token is too old
    REFUSED = enum.auto()  # not applied: a final answer


_TURNED_AWAY = ("etcdserver: no leader", "etcdserver: too many requests")
_NEVER_SENT = ("failed to connect to all addresses",)
_OLD_TOKEN = ("etcdserver: invalid auth token", "etcdserver: revision of auth store is old")
_FINAL = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.UNAUTHENTICATED,
    }
)


def judge(code: grpc.StatusCode, details: str) -> Judgement:
    """What a failed attempt means for the operation."""
    if any(text in details for text in _OLD_TOKEN):
        return Judgement.LOGIN
    if any(text in details for text in _TURNED_AWAY) or details.startswith(_NEVER_SENT):
        return Judgement.NOT_APPLIED
    return Judgement.REFUSED if code in _FINAL else Judgement.UNKNOWN


def refusal(what: str, endpoint: str, code: grpc.StatusCode, details: str) -> EtcdRefused:
    """The error for a final answer."""
    kind = LeaseNotFound if "requested lease not found" in details else EtcdRefused
    fix = ""
    if "user name is empty" in details:
        fix = "; etcd has authentication enabled: configure a user and a password"
    elif "authentication failed" in details:
        fix = "; check etcd's user and password"
    elif "permission denied" in details:
        fix = "; grant the user's role read and write on the cluster's keys"
    elif "space exceeded" in details:
        fix = "; compact and defragment etcd, then clear its alarm (etcdctl alarm disarm)"
    return kind(f"etcd {endpoint} refused {what}: {details or code.name}{fix}")


def unavailable(what: str, timeout: float, causes: dict[str, str], *, ambiguous: bool) -> EtcdUnavailable:
    """The error for a deadline that passed; `causes` holds the last one of each endpoint, latest attempt last."""
    tried = "; ".join(f"{endpoint}: {cause}" for endpoint, cause in causes.items())
    doubt = ", and it may have been applied" if ambiguous else ""
    kind = Ambiguous if ambiguous else EtcdUnavailable
    return kind(f"etcd did not answer {what} within {timeout:g} s{doubt}. Tried {tried}")
