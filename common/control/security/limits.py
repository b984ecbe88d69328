"""How much one user may ask of a node, so that one cannot keep it from serving the others, or its peers.

A call is counted before its request is parsed. Peers are counted apart: their calls hold the cluster together, and what
they ask is bounded by what they run.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from hedgerow.common.errors import BadInput, LimitExceeded

PEER_MESSAGE_BYTES: Final = 16 * 1024 * 1024
USER_MESSAGE_BYTES: Final = 1024 * 1024
USER_CONNECTIONS: Final = 512  # to the port of tokens
TEXT_LENGTH: Final = 4096  # of a name, URI, rule
LONG_TEXT_LENGTH: Final = 256 * 1024  # of what may hold a GTID set
LIST_LENGTH: Final = 1000  # filters, tables
_LONG_FIELDS: Final = frozenset(("start", "transaction"))
_FIELDS_OF_NAMES: Final = {"name": 63, "node": 128, "by": 256}


@dataclass(frozen=True, slots=True)
class UserLimits:
    """At the same time, on one node."""

    calls_per_user: int = 64
    streams_per_user: int = 16
    calls: int = 1024  # of all users
    streams: int = 256


# What anybody may call costs little, and many nodes of one host may be behind it.
_OF_ANYBODY: Final = UserLimits(calls_per_user=256, streams_per_user=256, calls=512, streams=512)


class Counts:
    """Calls that are being served now."""

    def __init__(self, limits: UserLimits) -> None:
        self._limits = limits
        self._calls: Counter[str] = Counter()
        self._streams: Counter[str] = Counter()

    @contextlib.contextmanager
    def counted(self, user: str, *, stream: bool) -> Iterator[None]:
        """Raises LimitExceeded."""
        counts = self._streams if stream else self._calls
        most, most_of_all = (
            (self._limits.streams_per_user, self._limits.streams)
            if stream
            else (self._limits.calls_per_user, self._limits.calls)
        )
        what = "streams" if stream else "calls"
        if counts[user] >= most:
            raise LimitExceeded(f"{user} has {most} {what} open on this node, which is the most: end some, or wait")
        if counts.total() >= most_of_all:
            raise LimitExceeded(f"the users of this node have {most_of_all} {what} open, which is the most: try later")
        counts[user] += 1
        try:
            yield
        finally:
            counts[user] -= 1
            if not counts[user]:
                del counts[user]


class Limits:
    """Of one node, whatever ports it has. Who asks for its health only takes no room from its users."""

    def __init__(self, of_users: UserLimits | None = None) -> None:
        self.of_users = Counts(of_users or UserLimits())
        self.of_anybody = Counts(_OF_ANYBODY)


def check_size(raw: bytes, *, of_user: bool) -> None:
    """Raises LimitExceeded."""
    if of_user and len(raw) > USER_MESSAGE_BYTES:
        raise LimitExceeded(f"the request has {len(raw)} bytes; at most {USER_MESSAGE_BYTES} are read from a user")


def check_fields(message: Message, path: str = "") -> None:
    """Bounds every text and list of a user's request. Raises BadInput that names the field."""
    for descriptor, value in message.ListFields():
        name = f"{path}{descriptor.name}"
        many = _is_repeated(descriptor)
        if many and len(value) > LIST_LENGTH:
            raise BadInput(f"{name} has {len(value)} entries; at most {LIST_LENGTH} are allowed")
        for one in value if many else (value,):
            if isinstance(one, Message):
                check_fields(one, f"{name}.")
            elif isinstance(one, str):
                _check_text(name, descriptor.name, one)


def _check_text(shown: str, name: str, text: str) -> None:
    most = _FIELDS_OF_NAMES.get(name, LONG_TEXT_LENGTH if name in _LONG_FIELDS else TEXT_LENGTH)
    if len(text) > most:
        raise BadInput(f"{shown} has {len(text)} characters; at most {most} are allowed (it begins {text[:40]!r})")


def _is_repeated(descriptor: Any) -> bool:
    found = getattr(descriptor, "is_repeated", None)
    return bool(descriptor.label == FieldDescriptor.LABEL_REPEATED if found is None else found)
