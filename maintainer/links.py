"""A maintainer's links, one per member of the cluster, and which of the nodes may be used for what."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from hedgerow.common.epoch import Stamp
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.maintainer.fleet import Orders
from hedgerow.maintainer.link import Link, Listener, NodeLink, Timing
from hedgerow.maintainer.members import MembersSource, NodeChannels
from hedgerow.maintainer.operations.api import NodeCommand


class Links:
    """Owns a task per member; `close` awaits them."""

    def __init__(
        self,
        stamp: Stamp,
        spec: pb.ChangefeedSpec,
        members: MembersSource,
        channels: NodeChannels,
        listener: Listener,
        seqs: Iterator[int],
        timing: Timing,
    ) -> None:
        self._stamp = stamp
        self._spec = spec
        self._members = members
        self._channels = channels
        self._listener = listener
        self._seqs = seqs
        self._timing = timing
        self._links: dict[str, tuple[NodeLink, asyncio.Task[None]]] = {}
        self._gone: list[asyncio.Task[None]] = []

    def sync(self) -> list[str]:
        """Opens links to new members, ends those to members that are gone; returns the latter."""
        nodes = self._members.members.nodes
        for node, info in nodes.items():
            if node not in self._links:
                channel = self._channels.channel(info.address, node)
                link = NodeLink(
                    node, info.address, channel, self._stamp, self._spec, self._listener, self._seqs, self._timing
                )
                task = asyncio.create_task(link.run(), name=f"link-{self._spec.name}-{node}")
                self._links[node] = (link, task)
        gone = sorted(self._links.keys() - nodes.keys())
        self._gone = [task for task in self._gone if not task.done()]
        for node in gone:
            _, task = self._links.pop(node)
            task.cancel()
            self._gone.append(task)
        return gone

    @property
    def silent(self) -> list[str]:
        """Nodes whose first attempt has led to nothing yet."""
        return sorted(node for node, (link, _) in self._links.items() if not link.answered)

    @property
    def ready(self) -> set[str]:
        """Nodes that can be asked."""
        return {node for node, (link, _) in self._links.items() if link.state is Link.READY}

    @property
    def eligible(self) -> set[str]:
        """Nodes that may host dispatchers."""
        nodes = self._members.members.nodes
        alive = {node for node, info in nodes.items() if info.liveness == pb.ALIVE}
        return {node for node, (link, _) in self._links.items() if node in alive and link.may_host}

    @property
    def none_fit(self) -> bool:
        """Whether every node has said that it cannot serve the changefeed."""
        return bool(self._links) and all(link.state is Link.UNFIT for link, _ in self._links.values())

    @property
    def errors(self) -> list[pb.ChangefeedError]:
        """Why nodes cannot serve the changefeed."""
        return [link.error for link, _ in self._links.values() if link.error is not None]

    def is_out(self, node: str) -> bool:
        """Whether what the node runs does not count any more."""
        return node in self._links and self._links[node][0].state in (Link.LOST, Link.UNFIT)

    def send(self, node: str, what: Orders | NodeCommand) -> None:
        """To a ready node."""
        self._links[node][0].send(what)

    async def close(self) -> None:
        tasks = [*self._gone, *(task for _, task in self._links.values())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
