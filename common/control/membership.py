"""Membership: this node's place in the cluster, who else is there, and who coordinates.

A Membership is one life of a node: one etcd session, one node id, one key `nodes/<id>` under the session's lease. When
the session is lost that life is over: the node fences itself, closes this, and joins again as a new node id.

The members are mirrored from etcd together with the election, in one range, so that a snapshot shows both as they were
at one revision. A node that finds its own key gone declares its session lost at once: somebody revoked its lease
(`suspect_dead`), and the local clock would notice only later.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Self

import structlog
from google.protobuf import json_format

from hedgerow.common.errors import HedgerowError, SessionLost
from hedgerow.common.etcd import (
    Election,
    Etcd,
    KeyRange,
    KeyValue,
    LeaseNotFound,
    Mirror,
    Put,
    Session,
    Snapshot,
    absent,
    modified_at,
    prefix,
)
from hedgerow.common.etcd.election import leader
from hedgerow.common.ids import Keys, new_node_id
from hedgerow.common.pb.v1 import model_pb2 as pb

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """pb.NodeInfo as a value. `liveness` is a pb.Liveness."""

    id: str
    address: str
    version: str
    started: datetime.datetime
    liveness: pb.Liveness
    lease: int

    @classmethod
    def read(cls, message: pb.NodeInfo) -> NodeInfo:
        started = message.started.ToDatetime(tzinfo=datetime.UTC)
        return cls(message.id, message.address, message.version, started, message.liveness, message.lease)

    def write(self) -> pb.NodeInfo:
        message = pb.NodeInfo(
            id=self.id, address=self.address, version=self.version, liveness=self.liveness, lease=self.lease
        )
        message.started.FromDatetime(self.started)
        return message


@dataclass(frozen=True, slots=True)
class Members:
    """Who is there at one revision of etcd. `coordinator` may name a node that has just gone from `nodes`."""

    revision: int
    nodes: Mapping[str, NodeInfo]
    coordinator: str | None
    term: int  # the coordinator's; 0 where there is none


def read_members(snapshot: Snapshot, keys: Keys) -> Members:
    """Pure. Fields that a newer version wrote are ignored."""
    nodes = {}
    for key, item in snapshot.items.items():
        if key.startswith(keys.nodes):
            message = json_format.Parse(item.value, pb.NodeInfo(), ignore_unknown_fields=True)
            nodes[message.id] = NodeInfo.read(message)
    first = leader(snapshot, keys.election)
    coordinator, term = (first.value.decode(), first.create_revision) if first else (None, 0)
    return Members(snapshot.revision, MappingProxyType(nodes), coordinator, term)


class Membership:
    """Use `await Membership.join(...)`; close() leaves."""

    def __init__(self, etcd: Etcd, keys: Keys, session: Session, mirror: Mirror, info: NodeInfo, revision: int) -> None:
        self.session = session
        self.election = Election(etcd, session, mirror, keys.election, info.id)
        self._etcd = etcd
        self._keys = keys
        self._mirror = mirror
        self._info = info
        self._revision = revision  # of our last write of the own key
        self._writing = asyncio.Lock()
        self._members = read_members(mirror.snapshot, keys)
        self._guardian = asyncio.create_task(self._watch_own_key(), name=f"membership-{info.id}")

    @classmethod
    async def join(cls, etcd: Etcd, *, cluster: str, name: str, address: str, version: str, ttl: int) -> Self:
        """Opens a session of `ttl` seconds and registers a new node id. `address`: the host:port that peers reach.

        Raises EtcdUnavailable, EtcdRefused.
        """
        keys = Keys(cluster)
        session = await Session.open(etcd, ttl)
        try:
            node = new_node_id(name)
            now = datetime.datetime.now(datetime.UTC)
            info = NodeInfo(node, address, version, now, pb.ALIVE, session.lease)
            key = keys.node(node)
            result = await etcd.txn([absent(key)], [Put(key, _json(info), session.lease)])
            if not result.succeeded:
                raise SessionLost(f"another node has registered the id {node}; start again")
            # "election/" and "nodes/" are neighbours: one range has both, and nothing else.
            both = KeyRange(prefix(keys.election).start, prefix(keys.nodes).end)
            mirror = await Mirror.open(etcd, both)
        except BaseException:
            await session.close()
            raise
        log.info("joined", node=node, cluster=cluster, address=address, lease=f"{session.lease:x}")
        return cls(etcd, keys, session, mirror, info, result.revision)

    @property
    def node(self) -> str:
        """This life's node id."""
        return self._info.id

    @property
    def info(self) -> NodeInfo:
        return self._info

    @property
    def members(self) -> Members:
        if self._members.revision != self._mirror.snapshot.revision:
            self._members = read_members(self._mirror.snapshot, self._keys)
        return self._members

    async def changed(self, since: int) -> Members:
        """The latest members, as soon as their revision is above `since`. Raises EtcdUnavailable when closed."""
        await self._mirror.changed(since)
        return self.members

    async def set_liveness(self, liveness: pb.Liveness) -> None:
        """Rewrites the own key. Raises SessionLost where it is gone, EtcdUnavailable, EtcdRefused."""
        async with self._writing:
            self.session.check()
            info = replace(self._info, liveness=liveness)
            key = self._keys.node(self.node)
            while True:
                try:
                    put = Put(key, _json(info), info.lease)
                    result = await self._etcd.txn([modified_at(key, self._revision)], [put])
                except LeaseNotFound:
                    self.session.declare_lost("etcd does not know its lease")
                    self.session.check()
                    raise
                if result.succeeded:
                    break
                found = result.found[key]
                if found is None or not self._is_own(found):
                    self.session.declare_lost(f"the node's key {key} is gone")
                    raise SessionLost(f"the node's key {key} is gone")
                self._revision = found.mod_revision  # of an earlier write of ours, whose answer was lost
            self._info, self._revision = info, result.revision

    def _is_own(self, found: KeyValue) -> bool:
        """Whether this life wrote it: its id and its lease are nobody else's."""
        message = json_format.Parse(found.value, pb.NodeInfo(), ignore_unknown_fields=True)
        return (message.id, message.lease) == (self._info.id, self._info.lease)

    async def suspect_dead(self, node: str) -> None:
        """Revokes another node's lease, so that its keys vanish at once. A node wrongly suspected finds its session
        lost, fences itself, and comes back as a new node. Does nothing for a node that is gone already.

        Raises EtcdUnavailable, EtcdRefused.
        """
        suspect = self.members.nodes.get(node)
        if suspect is None:
            return
        log.warning("node-suspected-dead", node=node, address=suspect.address)
        try:
            await self._etcd.revoke_lease(suspect.lease)
        except LeaseNotFound:
            return

    async def close(self) -> None:
        """Leaves: revokes the lease, so that peers see it at once. Idempotent."""
        self._guardian.cancel()
        await asyncio.gather(self._guardian, return_exceptions=True)
        await self._mirror.close()
        await self.session.close()

    async def _watch_own_key(self) -> None:
        key = self._keys.node(self.node)
        try:
            await self._mirror.until(lambda snapshot: key not in snapshot.items)
        except HedgerowError as error:
            log.error("membership-blind", node=self.node, error=str(error))
            self.session.declare_lost(f"the members cannot be seen any more: {error}")
        else:
            self.session.declare_lost(f"the node's key {key} is gone")


def _json(info: NodeInfo) -> bytes:
    return json_format.MessageToJson(info.write(), preserving_proto_field_name=True, indent=None).encode()
