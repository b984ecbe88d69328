"""The door of a node's gRPC server: every call of every service passes it, before its request is parsed.

To gRPC every call is one with a stream of requests, though most have one: then it asks the guard when the headers have
come, and does not wait, and count, for a request that somebody never sends.

In this order: the method is in the table; who calls is known and has one of its roles; the user has not too much open
already; the request is of a bearable size; what changes something is written to the audit log. Whatever fails on the
way refuses the call.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import grpc

from hedgerow.common.control.aborts import abort
from hedgerow.common.control.security.audit import Audit
from hedgerow.common.control.security.authenticator import Authenticator, Plain
from hedgerow.common.control.security.caller import NOBODY, Caller, current_caller
from hedgerow.common.control.security.limits import Limits, check_fields, check_size
from hedgerow.common.control.security.methods import METHODS, Rule, is_open
from hedgerow.common.errors import BadInput, Forbidden, HedgerowError, LimitExceeded, Unauthenticated

_Context = grpc.aio.ServicerContext[Any, Any]
if TYPE_CHECKING:
    _Handler = grpc.RpcMethodHandler[Any, Any]
_STREAM_REQUESTS: Final = 1000  # that one reflection stream may ask
_REQUEST_SECONDS = 10.0  # in which a request has to come after its headers


def decide(method: str, caller: Caller) -> Rule:
    """The method's rule, where this caller may call it. Raises Forbidden."""
    rule = METHODS.get(method)
    if rule is None:
        raise Forbidden(
            f"{method} is not in the table of methods (common/control/security/methods.py), so nobody may call it"
        )
    if rule.roles and not rule.roles & caller.roles:
        has = f"has the role {' and '.join(sorted(caller.roles))}" if caller.roles else "has no role"
        raise Forbidden(f"{caller.name} {has}; {method} needs {' or '.join(sorted(rule.roles))}")
    return rule


@dataclass
class _Call:
    method: str
    context: _Context
    caller: Caller = NOBODY
    number: int = 0


class Guard(grpc.aio.ServerInterceptor):
    """The outermost interceptor of a server. Servers of one node share `audit` and `counts`."""

    def __init__(
        self, authenticator: Authenticator | None = None, audit: Audit | None = None, counts: Limits | None = None
    ) -> None:
        self._authenticator = authenticator or Plain()
        self._audit = audit or Audit()
        self._counts = counts or Limits()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler | None:
        handler = await continuation(handler_call_details)
        if handler is None:
            return None  # gRPC says UNIMPLEMENTED
        method = handler_call_details.method
        parse, serialize = handler.request_deserializer, handler.response_serializer
        if handler.unary_unary is not None:
            unary = self._unary(method, handler.unary_unary, parse)
            return grpc.stream_unary_rpc_method_handler(unary, None, serialize)
        if handler.unary_stream is not None:
            stream = self._stream(method, handler.unary_stream, parse)
            return grpc.stream_stream_rpc_method_handler(stream, None, serialize)
        if handler.stream_stream is not None:
            streams = self._streams(method, handler.stream_stream, parse)
            return grpc.stream_stream_rpc_method_handler(streams, None, serialize)
        raise NotImplementedError(f"{method}: the guard knows no calls of this kind")

    def _unary(self, method: str, behaviour: Any, parse: Any) -> Any:
        async def guarded(raws: AsyncIterator[bytes], context: _Context) -> Any:
            call = _Call(method, context)
            try:
                with self._admitted(call, stream=False) as rule:
                    return await behaviour(self._read(call, rule, await _only(raws), parse), context)
            except HedgerowError as error:
                await self._refuse(call, error)
            finally:
                self._ended(call)

        return guarded

    def _stream(self, method: str, behaviour: Any, parse: Any) -> Any:
        async def guarded(raws: AsyncIterator[bytes], context: _Context) -> AsyncIterator[Any]:
            call = _Call(method, context)
            try:
                with self._admitted(call, stream=True) as rule:
                    answers = behaviour(self._read(call, rule, await _only(raws), parse), context)
                    if hasattr(answers, "__aiter__"):
                        async for answer in answers:
                            yield answer
                    else:
                        await answers  # it writes to the context
            except HedgerowError as error:
                await self._refuse(call, error)
            finally:
                self._ended(call)

        return guarded

    def _streams(self, method: str, behaviour: Any, parse: Any) -> Any:
        async def guarded(raws: AsyncIterator[bytes], context: _Context) -> AsyncIterator[Any]:
            call = _Call(method, context)
            try:
                with self._admitted(call, stream=True) as rule:

                    async def requests() -> AsyncIterator[Any]:
                        asked = 0
                        async for raw in raws:
                            asked += 1
                            if asked > _STREAM_REQUESTS:
                                raise LimitExceeded(f"a stream may ask {_STREAM_REQUESTS} times: open another")
                            yield self._read(call, rule, raw, parse)

                    async for answer in behaviour(requests(), context):
                        yield answer
            except HedgerowError as error:
                await self._refuse(call, error)
            finally:
                self._ended(call)

        return guarded

    @contextlib.contextmanager
    def _admitted(self, call: _Call, *, stream: bool) -> Iterator[Rule]:
        """Raises Unauthenticated, Forbidden, LimitExceeded."""
        call.caller = Caller(NOBODY.name, frozenset(), NOBODY.via, call.context.peer())
        try:
            call.caller = self._authenticator.identify(call.context)
        except (Unauthenticated, Forbidden):
            if not is_open(call.method):
                raise
        rule = decide(call.method, call.caller)
        current_caller.set(call.caller)
        if rule.internal or call.caller.is_node:
            yield rule
            return
        counts = self._counts.of_users if rule.roles else self._counts.of_anybody
        with counts.counted(_counted_as(call.caller), stream=stream):
            yield rule

    def _read(self, call: _Call, rule: Rule, raw: bytes, parse: Callable[[bytes], Any]) -> Any:
        """The request. Raises BadInput, LimitExceeded, and Unavailable where the audit log cannot be written."""
        of_user = not rule.internal
        check_size(raw, of_user=of_user)
        try:
            request = parse(raw)
        except Exception as error:  # what protobuf raises differs between its implementations
            raise BadInput(f"the request of {call.method} cannot be read: {type(error).__name__}") from None
        if of_user:
            check_fields(request)
        if rule.changes:
            call.number = self._audit.begun(call.caller, call.method, request)
        return request

    async def _refuse(self, call: _Call, error: HedgerowError) -> None:
        if isinstance(error, Unauthenticated | Forbidden | LimitExceeded):
            self._audit.refused(call.caller, call.method, error.code, str(error))
        await abort(call.context, error)

    def _ended(self, call: _Call) -> None:
        if call.number:
            code = call.context.code()
            name = code.name if isinstance(code, grpc.StatusCode) else _CODES.get(int(code or 0), str(code))
            if call.context.cancelled():
                name = "CANCELLED"
            self._audit.ended(call.number, call.caller, call.method, name)


async def _only(raws: AsyncIterator[bytes]) -> bytes:
    """The request of a call that has one. Raises BadInput where it does not come."""
    try:
        async with asyncio.timeout(_REQUEST_SECONDS):
            async for raw in raws:
                return raw
    except TimeoutError:
        raise BadInput(f"the request did not come within {_REQUEST_SECONDS:g} s after the call was begun") from None
    raise BadInput("the call ended without a request")


_CODES: Final = {code.value[0]: code.name for code in grpc.StatusCode}


def _counted_as(caller: Caller) -> str:
    """A user, wherever the calls come from; who has no name, by the host that they come from."""
    if caller.via not in ("plain", "none"):
        return caller.name
    return f"{caller.name} at {caller.address.rpartition(':')[0]}"
