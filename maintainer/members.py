"""What a maintainer needs to know of the cluster: who is there, and when that changes.

`common.control.membership.Membership` is one such source. Sources hand out immutable snapshots.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import grpc

from hedgerow.common.pb.v1 import model_pb2 as pb


class Member(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def liveness(self) -> pb.Liveness: ...


class MembersSnapshot(Protocol):
    @property
    def revision(self) -> int: ...
    @property
    def nodes(self) -> Mapping[str, Member]: ...


class MembersSource(Protocol):
    @property
    def members(self) -> MembersSnapshot: ...

    async def changed(self, since: int) -> MembersSnapshot:
        """The members, as soon as their revision is above `since`."""
        ...


class NodeChannels(Protocol):
    """`common.control.rpc.Peers` is one. The channels are the source's own; nobody here closes them."""

    def channel(self, address: str, node: str) -> grpc.aio.Channel: ...
