"""hedgerow.v1.Admin, on every node. The coordinator answers; every other node forwards the call to it.

A call travels one hop at most (metadata marks it). While there is no coordinator, or if it changes during a call,
the call waits and is repeated until its deadline: what a deposed coordinator refused was not done. A call whose
connection broke after it was sent is repeated only if doing it twice has the same effect as doing it once.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import grpc

from hedgerow.common.control.membership import Membership, NodeInfo
from hedgerow.common.control.rpc import Peers, is_refused, to_error
from hedgerow.common.control.security.caller import current_caller, forwarding_metadata
from hedgerow.common.errors import HedgerowError, LostOwnership, NodeUnavailable, NotFound, SessionLost, TermLost
from hedgerow.common.pb.v1 import admin_pb2 as apb
from hedgerow.common.pb.v1 import admin_pb2_grpc
from hedgerow.coordinator.admin.changefeeds import Operations, Preflight
from hedgerow.coordinator.coordinator import Coordinator
from hedgerow.coordinator.preflight import preflight as look_at_servers
from hedgerow.coordinator.term import Term

_T = TypeVar("_T")
_Context = grpc.aio.ServicerContext[Any, Any]

HOP = "hedgerow-forwarded"
NOT_COORDINATOR = "this node does not coordinate"
DEFAULT_SECONDS = 30.0  # for callers that name no deadline
WATCH_SECONDS = 0.5  # the shortest time between two answers of a watch
_MARGIN_SECONDS = 0.3  # so that the answer is there before the caller's deadline
_RETRY_SECONDS = 0.1
_ONCE = frozenset({"CreateChangefeed", "Resume", "Update"})


class AdminService(admin_pb2_grpc.AdminServicer):
    """Handlers raise HedgerowError, which `common.control.rpc` gives its status."""

    def __init__(
        self, coordinator: Coordinator, membership: Membership, peers: Peers, preflight: Preflight = look_at_servers
    ) -> None:
        self._coordinator = coordinator
        self._membership = membership
        self._peers = peers
        self._preflight = preflight

    async def CreateChangefeed(self, request: apb.CreateChangefeedRequest, context: _Context) -> apb.Changefeed:
        return await self._serve(
            "CreateChangefeed", request, context, lambda on, deadline: on.create(request, deadline)
        )

    async def Pause(self, request: apb.ChangefeedRequest, context: _Context) -> apb.Changefeed:
        return await self._serve("Pause", request, context, lambda on, deadline: on.pause(request.name, deadline))

    async def Resume(self, request: apb.ChangefeedRequest, context: _Context) -> apb.Changefeed:
        return await self._serve("Resume", request, context, lambda on, deadline: on.resume(request.name, deadline))

    async def Update(self, request: apb.UpdateChangefeedRequest, context: _Context) -> apb.Changefeed:
        return await self._serve("Update", request, context, lambda on, deadline: on.update(request, deadline))

    async def Skip(self, request: apb.SkipRequest, context: _Context) -> apb.Changefeed:
        caller = current_caller.get()
        if caller is not None and caller.via != "plain":
            request.by = caller.name  # who it is known to be, not who it says
        return await self._serve("Skip", request, context, lambda on, deadline: on.skip(request, deadline))

    async def Remove(self, request: apb.ChangefeedRequest, context: _Context) -> apb.RemoveResponse:
        begun = False

        async def remove(on: Operations, deadline: float) -> apb.RemoveResponse:
            nonlocal begun
            try:
                await on.remove(request.name, deadline)
            except (TermLost, SessionLost):
                begun = True
                raise
            except NotFound:
                if not begun:  # else the next coordinator has finished what this one began
                    raise
            return apb.RemoveResponse()

        return await self._serve("Remove", request, context, remove)

    async def Get(self, request: apb.ChangefeedRequest, context: _Context) -> apb.Changefeed:
        return await self._serve("Get", request, context, _now(lambda on: on.get(request.name)))

    async def List(self, request: apb.ListRequest, context: _Context) -> apb.ListResponse:
        return await self._serve("List", request, context, _now(lambda on: on.list()))

    async def ListNodes(self, request: apb.ListNodesRequest, context: _Context) -> apb.ListNodesResponse:
        return await self._serve("ListNodes", request, context, _now(lambda on: on.nodes.list()))

    async def DrainNode(self, request: apb.DrainNodeRequest, context: _Context) -> apb.Node:
        return await self._serve(
            "DrainNode", request, context, lambda on, deadline: on.nodes.drain(request.node, deadline)
        )

    async def MoveMaintainer(self, request: apb.MoveMaintainerRequest, context: _Context) -> apb.Changefeed:
        return await self._serve(
            "MoveMaintainer",
            request,
            context,
            lambda on, deadline: on.move_maintainer(request.name, request.node, deadline),
        )

    async def MoveDispatcher(self, request: apb.MoveDispatcherRequest, context: _Context) -> apb.Changefeed:
        return await self._serve(
            "MoveDispatcher", request, context, lambda on, deadline: on.move_dispatcher(request, deadline)
        )

    async def Watch(self, request: apb.ChangefeedRequest, context: _Context) -> AsyncIterator[apb.Changefeed]:
        """Ends when the changefeed is removed. Goes on over a change of coordinator."""
        seen: apb.Changefeed | None = None
        patience = _deadline(None)
        while True:
            try:
                async with contextlib.aclosing(self._watch_once(request, context)) as answers:
                    async for answer in answers:
                        patience = _deadline(None)
                        if answer != seen:
                            seen = answer
                            yield answer
                return
            except NotFound:
                if seen is None:
                    raise
                return
            except (LostOwnership, NodeUnavailable):
                if _is_forwarded(context) or time.monotonic() > patience:
                    raise
                await asyncio.sleep(_RETRY_SECONDS)

    async def _watch_once(
        self, request: apb.ChangefeedRequest, context: _Context
    ) -> AsyncGenerator[apb.Changefeed, None]:
        term = self._coordinator.term
        if term is not None:
            async for answer in self._watch_here(term, request.name):
                yield answer
            return
        target = self._target(context)
        if target is None:
            raise NodeUnavailable("the cluster has no coordinator at the moment; try again in a few seconds")
        call = self._stub(target).Watch(request, metadata=_hop())
        try:
            async for answer in call:
                yield answer
        except grpc.aio.AioRpcError as error:
            raise to_error(error, target.address) from None
        finally:
            call.cancel()

    async def _watch_here(self, term: Term, name: str) -> AsyncIterator[apb.Changefeed]:
        operations = Operations(term, self._preflight)
        sent: apb.Changefeed | None = None

        def changed() -> apb.Changefeed | None:
            found = operations.get(name)
            return found if found != sent else None

        while True:
            answer = await term.until(changed, DEFAULT_SECONDS)
            if answer is not None:
                sent = answer
                yield answer
                await asyncio.sleep(WATCH_SECONDS)

    async def _serve(
        self,
        method: str,
        request: Any,
        context: _Context,
        here: Callable[[Operations, float], Awaitable[_T]],
    ) -> _T:
        deadline = _deadline(context.time_remaining())
        while True:
            term = self._coordinator.term
            try:
                if term is not None:
                    return await here(Operations(term, self._preflight), deadline)
                target = self._target(context)
                if target is not None:
                    return await self._forward(method, request, target, deadline)  # type: ignore[no-any-return]
            except (TermLost, SessionLost):
                if _is_forwarded(context):
                    raise
            if time.monotonic() + _RETRY_SECONDS > deadline:
                raise NodeUnavailable("the cluster has no coordinator at the moment; try again in a few seconds")
            await asyncio.sleep(_RETRY_SECONDS)

    async def _forward(self, method: str, request: Any, target: NodeInfo, deadline: float) -> Any:
        """Raises TermLost if the call was not carried out there, or is safe to repeat."""
        timeout = max(_RETRY_SECONDS, deadline - time.monotonic())
        try:
            return await getattr(self._stub(target), method)(request, timeout=timeout, metadata=_hop())
        except grpc.aio.AioRpcError as error:
            raise _forwarding_error(method, error, target) from None

    def _target(self, context: _Context) -> NodeInfo | None:
        """The coordinator, if it is known and is another node. Raises NodeUnavailable for a call that was forwarded."""
        if _is_forwarded(context):
            raise NodeUnavailable(NOT_COORDINATOR)
        members = self._membership.members
        if members.coordinator is None or members.coordinator == self._membership.node:
            return None
        return members.nodes.get(members.coordinator)

    def _stub(self, target: NodeInfo) -> admin_pb2_grpc.AdminStub:
        return admin_pb2_grpc.AdminStub(self._peers.channel(target.address, target.id))


def _forwarding_error(method: str, error: grpc.aio.AioRpcError, target: NodeInfo) -> HedgerowError:
    broken = error.code() is grpc.StatusCode.UNAVAILABLE and not error.trailing_metadata()
    if is_refused(error) or error.details() == NOT_COORDINATOR or (broken and method not in _ONCE):
        return TermLost(f"node {target.id} is no longer the coordinator")
    if broken:
        return NodeUnavailable(
            f"the coordinator, node {target.id}, went away during {method}, which may or may not have been carried "
            "out; check with 'hedgerow changefeed get' before you repeat it"
        )
    return to_error(error, target.address)


def _now(look: Callable[[Operations], _T]) -> Callable[[Operations, float], Awaitable[_T]]:
    async def here(on: Operations, deadline: float) -> _T:
        return look(on)

    return here


def _hop() -> tuple[tuple[str, str | bytes], ...]:
    return ((HOP, "1"), *forwarding_metadata())


def _is_forwarded(context: _Context) -> bool:
    return any(key == HOP for key, _ in context.invocation_metadata() or ())


def _deadline(remaining: float | None) -> float:
    return time.monotonic() + (DEFAULT_SECONDS if remaining is None else max(0.0, remaining - _MARGIN_SECONDS))
