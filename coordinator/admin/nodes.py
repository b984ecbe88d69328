"""The operations on nodes that users ask of the coordinator, within one term. Deadlines are on time.monotonic()."""

from __future__ import annotations

from typing import Any

import grpc

from hedgerow.common.control.rpc import to_error
from hedgerow.common.errors import BadInput, IllegalTransition, NodeUnavailable, NotFound, Rejected, TermLost
from hedgerow.common.pb.v1 import admin_pb2 as apb
from hedgerow.common.pb.v1 import maintainer_pb2 as mpb
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.coordinator.changefeed import Changefeed
from hedgerow.coordinator.states import state_name
from hedgerow.coordinator.term import Term, left
from hedgerow.coordinator.watch.nodes import NodeWatch

# A draining node says so in etcd; a user waits this long for it.
_SHOW_SECONDS = 3.0


class NodeOperations:
    """A view on a term; make one for each call."""

    def __init__(self, term: Term) -> None:
        self._term = term

    async def drain(self, node: str, deadline: float) -> apb.Node:
        """Returns when the node is DRAINING. Raises NotFound, IllegalTransition for the last node that is ALIVE."""
        watch = self.find(node)
        others = [each for each in self._term.watches.values() if each is not watch]
        if not any(each.info.liveness == pb.ALIVE and not each.suspected for each in others):
            raise IllegalTransition(f"node {watch.info.id} is the last live node: start another one first")
        if watch.info.liveness == pb.ALIVE:
            request = mpb.DrainRequest(term=self._term.number)
            answer = await self._call(watch, watch.host().Drain(request, timeout=left(deadline)))
            self._check(watch, answer.rejection if answer.HasField("rejection") else None)
        await self._term.until(lambda: watch.info.liveness != pb.ALIVE or None, min(_SHOW_SECONDS, left(deadline)))
        return self._render(watch)

    def list(self) -> apb.ListNodesResponse:
        watches = self._term.watches
        return apb.ListNodesResponse(nodes=[self._render(watches[node]) for node in sorted(watches)])

    def find(self, text: str) -> NodeWatch:
        """The node with this id, or the only one whose id begins so. Raises NotFound, BadInput."""
        watches = self._term.watches
        found = [text] if text in watches else sorted(node for node in watches if text and node.startswith(text))
        if not found:
            raise NotFound(f"there is no node {text!r}; the nodes are {', '.join(sorted(watches)) or 'none'}")
        if len(found) > 1:
            raise BadInput(f"{text!r} is ambiguous: it may be any of {', '.join(found)}; give more of the id")
        return watches[found[0]]

    async def place_dispatcher(self, changefeed: Changefeed, dispatcher: str, node: str, deadline: float) -> None:
        """Asks the owner. Raises NotFound, IllegalTransition, NodeUnavailable, Rejected, and what the owner raises."""
        target = self.find(node)
        owner = self._term.watches.get(changefeed.ownership.node)
        if not changefeed.running:
            raise IllegalTransition(
                f"changefeed {changefeed.name} is {state_name(changefeed.status.state)}: it has no dispatchers"
            )
        if owner is None or owner.suspected:
            raise NodeUnavailable(
                f"node {changefeed.ownership.node}, which owns changefeed {changefeed.name}, does not answer"
            )
        placement = mpb.PlaceDispatcherRequest(
            stamp=changefeed.stamp(self._term.number).write(), dispatcher=dispatcher, node=target.info.id
        )
        answer = await self._call(owner, owner.host().PlaceDispatcher(placement, timeout=left(deadline)))
        self._check(owner, answer.rejection if answer.HasField("rejection") else None)

    def _render(self, watch: NodeWatch) -> apb.Node:
        changefeeds = self._term.table.changefeeds
        return apb.Node(
            info=watch.info.write(),
            coordinator=watch.info.id == self._term.membership.node,
            reachable=not watch.suspected and watch.report is not None,
            maintains=sorted(
                name for name, f in changefeeds.items() if f.running and f.ownership.node == watch.info.id
            ),
            dispatchers=watch.dispatchers,
        )

    async def _call(self, watch: NodeWatch, call: Any) -> Any:
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            raise to_error(error, watch.info.address) from None

    def _check(self, watch: NodeWatch, rejection: pb.Rejection | None) -> None:
        if rejection is None:
            return
        if rejection.term > self._term.number:
            raise TermLost(f"node {watch.info.id} obeys the coordinator of term {rejection.term}")
        raise Rejected(
            f"node {watch.info.id} refused ({pb.Verdict.Name(rejection.verdict).lower()}): it obeys epoch "
            f"{rejection.current.epoch} of node {rejection.current.node or '(none)'}; try again in a moment"
        )
