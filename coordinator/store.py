"""Changefeeds in etcd: `<prefix>changefeeds/<name>/{spec,ownership,status}`, values in protobuf's JSON.

Every write is one transaction that compares the election key's create revision (are we still the coordinator?) and the
mod revision of all three keys (is it still what we decided from?). There is no other way to write here. A write that
is refused changes nothing and tells why: a lost term raises TermLost (a lost session SessionLost, before anything is
sent), a changed key makes the caller decide again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import structlog
from google.protobuf import json_format
from google.protobuf.message import Message

from hedgerow.common.errors import AlreadyExists, EtcdUnavailable, NotFound, TermLost
from hedgerow.common.etcd import (
    Compare,
    Delete,
    KeyValue,
    Leadership,
    Operation,
    Put,
    TxnResult,
    absent,
    modified_at,
    prefix,
)
from hedgerow.common.etcd.errors import Ambiguous
from hedgerow.common.ids import Keys
from hedgerow.common.metrics import rejected
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.coordinator.changefeed import Change, Changefeed, Revisions

log = structlog.get_logger()

_PARTS = ("spec", "ownership", "status")
_M = TypeVar("_M", bound=Message)


@dataclass(frozen=True, slots=True)
class Written:
    """How a write ended, at etcd's `revision`. Where it was refused, `changefeed` is what was found instead; None: the
    changefeed is gone."""

    done: bool
    changefeed: Changefeed | None
    revision: int


def encode(message: Message) -> bytes:
    """As JSON with the field names of the .proto files, so that `etcdctl get` shows them."""
    return json_format.MessageToJson(message, preserving_proto_field_name=True, indent=None).encode()


def decode(value: bytes, message: _M) -> _M:
    """Fields that a newer version has written are ignored."""
    json_format.Parse(value, message, ignore_unknown_fields=True)
    return message


def read_changefeeds(
    under: str, items: Mapping[str, KeyValue], known: Mapping[str, Changefeed]
) -> dict[str, Changefeed]:
    """All changefeeds of a range that was read at one revision. One whose keys are not complete was damaged by hand: it
    is left out, and said. What is `known` at the same revisions is not parsed again."""
    by_name: dict[str, dict[str, KeyValue]] = {}
    for key, item in items.items():
        name, _, part = key.removeprefix(under).partition("/")
        by_name.setdefault(name, {})[part] = item
    changefeeds = {}
    for name, parts in by_name.items():
        former = known.get(name)
        if former is not None and former.revisions == _revisions(parts):
            changefeeds[name] = former
            continue
        try:
            changefeed = _read_changefeed(parts)
        except (KeyError, json_format.ParseError) as error:
            log.error("changefeed-unreadable", changefeed=name, keys=sorted(parts), error=repr(error))
            continue
        changefeeds[name] = changefeed
    return changefeeds


def _revisions(parts: Mapping[str, KeyValue]) -> Revisions:
    spec, ownership, status = (parts[part].mod_revision if part in parts else 0 for part in _PARTS)
    return Revisions(spec, ownership, status)


def _read_changefeed(parts: Mapping[str, KeyValue]) -> Changefeed:
    spec, ownership, status = (parts[part] for part in _PARTS)
    return Changefeed(
        decode(spec.value, pb.ChangefeedSpec()),
        decode(ownership.value, pb.Ownership()),
        decode(status.value, pb.ChangefeedStatus()),
        _revisions(parts),
    )


class ChangefeedStore:
    """The changefeeds of a cluster, for one term of one coordinator."""

    def __init__(self, leadership: Leadership, keys: Keys) -> None:
        self._leadership = leadership
        self._keys = keys

    @property
    def term(self) -> int:
        return self._leadership.term

    async def get(self, name: str, *, timeout: float) -> Changefeed | None:
        """Raises EtcdUnavailable."""
        snapshot = await self._leadership.etcd.range(prefix(self._keys.changefeed(name)), timeout=timeout)
        return read_changefeeds(self._keys.changefeeds, snapshot.items, {}).get(name)

    async def create(
        self, spec: pb.ChangefeedSpec, ownership: pb.Ownership, status: pb.ChangefeedStatus, *, timeout: float
    ) -> Changefeed:
        """Raises AlreadyExists, TermLost, EtcdUnavailable."""
        values = dict(zip(_PARTS, (spec, ownership, status), strict=True))
        compares = [absent(self._key(spec.name, part)) for part in _PARTS]
        puts = [Put(self._key(spec.name, part), encode(value)) for part, value in values.items()]
        deadline = time.monotonic() + timeout
        while True:
            try:
                result = await self._txn(compares, puts, max(0.1, deadline - time.monotonic()))
            except Ambiguous:
                found = await self.get(spec.name, timeout=max(0.5, deadline - time.monotonic()))
                if found is None and time.monotonic() < deadline:
                    continue
                if found is None or found.uid != spec.uid:
                    raise
                return found
            if result.succeeded:
                return Changefeed(spec, ownership, status, Revisions(result.revision, result.revision, result.revision))
            found = self._refused(spec.name, result.found)
            if found is not None and found.uid == spec.uid:
                return found
            raise AlreadyExists(f"a changefeed named {spec.name} exists; remove it first, or choose another name")

    async def write(self, changefeed: Changefeed, change: Change, *, timeout: float) -> Written:
        """Writes `change` if nothing of the changefeed has changed since `changefeed` was read.

        Raises TermLost; EtcdUnavailable, whose kind Ambiguous means that it may have been written.
        """
        operations = self._operations(changefeed.name, change)
        if not operations:
            return Written(True, changefeed, changefeed.revisions.newest)
        revisions = (changefeed.revisions.spec, changefeed.revisions.ownership, changefeed.revisions.status)
        compares = [
            modified_at(self._key(changefeed.name, part), revision)
            for part, revision in zip(_PARTS, revisions, strict=True)
        ]
        result = await self._txn(compares, operations, timeout)
        if not result.succeeded:
            return Written(False, self._refused(changefeed.name, result.found), result.revision)
        return Written(True, None if change.delete else _after(changefeed, change, result.revision), result.revision)

    async def edit(self, name: str, decide: Callable[[Changefeed], Change], *, timeout: float) -> Changefeed:
        """Reads, decides and writes until nobody else wrote in between; `decide` may be called several times.

        Raises NotFound, TermLost, EtcdUnavailable, and what `decide` raises.
        """
        deadline = time.monotonic() + timeout
        found = await self.get(name, timeout=timeout)
        while True:
            if found is None:
                raise NotFound(f"there is no changefeed named {name}")
            change = decide(found)
            left = deadline - time.monotonic()
            if left <= 0:
                raise EtcdUnavailable(f"changefeed {name} could not be written within {timeout:g} s: others wrote it")
            try:
                written = await self.write(found, change, timeout=left)
            except Ambiguous:
                if time.monotonic() >= deadline:
                    raise
                await asyncio.sleep(0.05)
                found = await self.get(name, timeout=max(0.1, deadline - time.monotonic()))
                if found is not None and _holds(found, change):
                    return found
                continue
            if written.done:
                return written.changefeed or found
            found = written.changefeed

    def _key(self, name: str, part: str) -> str:
        return f"{self._keys.changefeed(name)}{part}"

    def _operations(self, name: str, change: Change) -> list[Operation]:
        if change.delete:
            return [Delete(self._key(name, part)) for part in _PARTS]
        values = dict(zip(_PARTS, (change.spec, change.ownership, change.status), strict=True))
        return [Put(self._key(name, part), encode(value)) for part, value in values.items() if value is not None]

    async def _txn(self, compares: list[Compare], operations: Sequence[Operation], timeout: float) -> TxnResult:
        try:
            return await self._leadership.txn(compares, operations, timeout=timeout)
        except TermLost as error:
            rejected("etcd", "term", term=self.term, reason=str(error))
            raise

    def _refused(self, name: str, found: Mapping[str, KeyValue | None]) -> Changefeed | None:
        """What is there instead of what was read."""
        rejected("etcd", "revision", changefeed=name, term=self.term)
        parts = {part: item for part in _PARTS if (item := found[self._key(name, part)]) is not None}
        return _read_changefeed(parts) if len(parts) == len(_PARTS) else None


def _holds(found: Changefeed, change: Change) -> bool:
    """Whether `change`, whose answer was lost, was written: an epoch is handed out once, with its time and reason."""
    if change.ownership is not None and change.ownership.changes:
        return change.ownership.changes[-1] in found.ownership.changes
    return change.spec is not None and found.spec == change.spec


def _after(changefeed: Changefeed, change: Change, revision: int) -> Changefeed:
    return Changefeed(
        change.spec or changefeed.spec,
        change.ownership or changefeed.ownership,
        change.status or changefeed.status,
        Revisions(
            changefeed.revisions.spec if change.spec is None else revision,
            changefeed.revisions.ownership if change.ownership is None else revision,
            changefeed.revisions.status if change.status is None else revision,
        ),
    )
