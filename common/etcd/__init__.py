"""etcd as the control plane's memory: guarded transactions, sessions, watches, election (design, section 4).

    config.py    where etcd is and how to log in
    errors.py    what can go wrong, and the pure judgement of an answer's status
    values.py    what is read and what is written: immutable snapshots, compares, operations
    channels.py  one channel per endpoint, rotation, login, streams
    client.py    Etcd: get, range, txn, leases
    session.py   Session: a lease and this node's right to act under it
    watch.py     Watch: the changes of a range, each once and in order
    mirror.py    Mirror: a range kept in memory
    election.py  Election, Leadership: who coordinates, and writing only while it is us

Everything here belongs to one asyncio event loop, except `Session.valid`, which any thread may ask.
"""

from __future__ import annotations

from hedgerow.common.etcd.client import Etcd
from hedgerow.common.etcd.config import EtcdConfig
from hedgerow.common.etcd.election import Election, Leadership
from hedgerow.common.etcd.errors import Ambiguous, Compacted, EtcdRefused, LeaseNotFound
from hedgerow.common.etcd.mirror import Mirror
from hedgerow.common.etcd.session import Session
from hedgerow.common.etcd.values import (
    Compare,
    Delete,
    KeyRange,
    KeyValue,
    Operation,
    Put,
    Snapshot,
    TxnResult,
    WatchEvent,
    absent,
    created_at,
    modified_at,
    prefix,
)
from hedgerow.common.etcd.watch import Watch, WatchBatch

__all__ = [
    "Ambiguous",
    "Compacted",
    "Compare",
    "Delete",
    "Election",
    "Etcd",
    "EtcdConfig",
    "EtcdRefused",
    "KeyRange",
    "KeyValue",
    "Leadership",
    "LeaseNotFound",
    "Mirror",
    "Operation",
    "Put",
    "Session",
    "Snapshot",
    "TxnResult",
    "Watch",
    "WatchBatch",
    "WatchEvent",
    "absent",
    "created_at",
    "modified_at",
    "prefix",
]
