"""What is read from etcd and what is written to it. Pure: values, and their forms in etcd's API.

What was read is immutable and carries its revisions, so that a write can compare them. Keys are text here, bytes there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from hedgerow.common.pb.etcd import kv_pb2, rpc_pb2


@dataclass(frozen=True, slots=True)
class KeyValue:
    key: str
    value: bytes
    create_revision: int
    mod_revision: int
    lease: int = 0

    @classmethod
    def read(cls, message: kv_pb2.KeyValue) -> KeyValue:
        return cls(message.key.decode(), message.value, message.create_revision, message.mod_revision, message.lease)


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Keys from `start` up to but without `end`."""

    start: bytes
    end: bytes


def prefix(text: str) -> KeyRange:
    """All keys that begin with `text`, which ends in an ASCII character (etcd manual, "Key ranges")."""
    start = text.encode()
    return KeyRange(start, start[:-1] + bytes([start[-1] + 1]))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A range as it was at one revision of etcd."""

    revision: int
    items: Mapping[str, KeyValue]

    @classmethod
    def of(cls, revision: int, items: Iterable[KeyValue]) -> Snapshot:
        return cls(revision, MappingProxyType({item.key: item for item in items}))

    def after(self, revision: int, events: Iterable[WatchEvent]) -> Snapshot:
        """The same range after these events, the last of which happened at `revision`."""
        items = dict(self.items)
        for event in events:
            if event.now is None:
                items.pop(event.key, None)
            else:
                items[event.key] = event.now
        return Snapshot(revision, MappingProxyType(items))


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One change of one key. `now` is None where the key was deleted or its lease ended."""

    key: str
    revision: int
    now: KeyValue | None

    @classmethod
    def read(cls, message: kv_pb2.Event) -> WatchEvent:
        deleted = message.type == kv_pb2.Event.DELETE
        now = None if deleted else KeyValue.read(message.kv)
        return cls(message.kv.key.decode(), message.kv.mod_revision, now)


@dataclass(frozen=True, slots=True)
class Compare:
    """True while the key's create or mod revision is `revision`; 0 means that there is no such key."""

    key: str
    target: Literal["create", "mod"]
    revision: int

    def holds(self, now: KeyValue | None) -> bool:
        if now is None:
            return self.revision == 0
        return self.revision == (now.create_revision if self.target == "create" else now.mod_revision)

    def write(self) -> rpc_pb2.Compare:
        key = self.key.encode()
        if self.target == "create":
            return rpc_pb2.Compare(
                key=key,
                target=rpc_pb2.Compare.CREATE,
                result=rpc_pb2.Compare.EQUAL,
                create_revision=self.revision,
            )
        return rpc_pb2.Compare(
            key=key, target=rpc_pb2.Compare.MOD, result=rpc_pb2.Compare.EQUAL, mod_revision=self.revision
        )


def absent(key: str) -> Compare:
    return Compare(key, "create", 0)


def created_at(key: str, revision: int) -> Compare:
    """The key is the incarnation that was created at `revision`, whatever its value is now."""
    return Compare(key, "create", revision)


def modified_at(key: str, revision: int) -> Compare:
    """Nobody has written the key since `revision`; 0: nobody has created it."""
    return Compare(key, "mod", revision)


@dataclass(frozen=True, slots=True)
class Put:
    key: str
    value: bytes
    lease: int = 0

    def write(self) -> rpc_pb2.RequestOp:
        put = rpc_pb2.PutRequest(key=self.key.encode(), value=self.value, lease=self.lease)
        return rpc_pb2.RequestOp(request_put=put)


@dataclass(frozen=True, slots=True)
class Delete:
    key: str

    def write(self) -> rpc_pb2.RequestOp:
        return rpc_pb2.RequestOp(request_delete_range=rpc_pb2.DeleteRangeRequest(key=self.key.encode()))


Operation = Put | Delete


@dataclass(frozen=True, slots=True)
class TxnResult:
    """Where the compares held, `revision` is that of the writes; else `found` is what the keys hold at `revision`.

    `found` has every key that was compared or was to be written; None: there is no such key.
    """

    succeeded: bool
    revision: int
    found: Mapping[str, KeyValue | None]


def keys_of(compares: Sequence[Compare], operations: Sequence[Operation]) -> list[str]:
    return list(dict.fromkeys([*(c.key for c in compares), *(o.key for o in operations)]))


def applies_once(compares: Sequence[Compare], operations: Sequence[Operation]) -> bool:
    """Whether the transaction, once applied, makes its own compares false, so that sending it again changes nothing."""
    return any(_undone(compare, operation) for compare in compares for operation in operations)


def _undone(compare: Compare, operation: Operation) -> bool:
    if compare.key != operation.key:
        return False
    if isinstance(operation, Put):
        return compare.target == "mod" or compare.revision == 0
    return compare.revision != 0


def was_applied(
    compares: Sequence[Compare], operations: Sequence[Operation], found: Mapping[str, KeyValue | None]
) -> bool | None:
    """Whether a transaction whose first answer was lost had been applied, told by what was found when it was sent again
    and its compares did not hold. None: cannot be told.

    True: every key holds exactly what we wrote, all from one transaction, and the compares that our own writes do not
    make false still hold. False: a key that it changes is as it was before, and a compare failed that can never hold
    again (a revision that passed does not come back), so that the lost one cannot be applied later either.
    """
    puts = [operation for operation in operations if isinstance(operation, Put)]
    others_hold = all(c.holds(found[c.key]) for c in compares if not any(_undone(c, o) for o in operations))
    deleted = all(found[o.key] is None for o in operations if isinstance(o, Delete))
    if puts and others_hold and deleted and _all_ours(puts, found):
        return True
    lasting = [c for c in compares if c.revision != 0]
    unchanged = any(c.holds(found[c.key]) for c in lasting if any(_undone(c, o) for o in operations))
    failed_for_good = any(not c.holds(found[c.key]) for c in lasting)
    return False if unchanged and failed_for_good else None


def _all_ours(puts: Sequence[Put], found: Mapping[str, KeyValue | None]) -> bool:
    revisions = set()
    for put in puts:
        now = found[put.key]
        if now is None or now.value != put.value or now.lease != put.lease:
            return False
        revisions.add(now.mod_revision)
    return len(revisions) == 1
