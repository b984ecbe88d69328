"""Members as read from a snapshot of etcd."""

from __future__ import annotations

import datetime

from google.protobuf import json_format

from hedgerow.common.control.membership import NodeInfo, read_members
from hedgerow.common.etcd import KeyValue, Snapshot
from hedgerow.common.ids import Keys
from hedgerow.common.pb.v1 import model_pb2 as pb

KEYS = Keys("blue")
INFO = NodeInfo("a-1", "a:7300", "0.1", datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), pb.ALIVE, 77)


def node(info: NodeInfo, revision: int) -> KeyValue:
    value = json_format.MessageToJson(info.write()).encode()
    return KeyValue(KEYS.node(info.id), value, revision, revision, info.lease)


def candidate(name: str, lease: int, created: int, modified: int) -> KeyValue:
    return KeyValue(f"{KEYS.election}{lease:x}", name.encode(), created, modified, lease)


def test_a_node_is_read_as_it_was_written() -> None:
    assert NodeInfo.read(INFO.write()) == INFO
    members = read_members(Snapshot.of(5, [node(INFO, 4)]), KEYS)
    assert dict(members.nodes) == {"a-1": INFO}
    assert (members.revision, members.coordinator, members.term) == (5, None, 0)


def test_the_coordinator_is_the_candidate_that_was_created_first() -> None:
    items = [candidate("b-2", 1, created=9, modified=9), candidate("a-1", 2, created=7, modified=12)]
    members = read_members(Snapshot.of(12, items), KEYS)
    assert (members.coordinator, members.term) == ("a-1", 7)


def test_a_field_of_a_newer_version_is_ignored() -> None:
    item = KeyValue(KEYS.node("n-1"), b'{"id": "n-1", "address": "n:1", "mood": "good"}', 3, 3)
    assert read_members(Snapshot.of(3, [item]), KEYS).nodes["n-1"].address == "n:1"
