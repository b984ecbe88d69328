"""What an orchestrator may ask a node, on a port of its own: is it alive, is it ready?

The port that peers and users call is no place for it: it is closed while the node is no member of the cluster, and
Kubernetes' gRPC probes know neither TLS nor client certificates. So `Probes` serves `grpc.health.v1` in plain for as
long as the process lives, and nothing else (docs/adr/0024).

No state is kept here that could be out of date: every answer is worked out when it is asked for, in the event loop. A
loop that does not run does not answer, and that is the answer.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from hedgerow.common.errors import BadInput

LIVENESS = "liveness"  # the event loop runs; does not depend on etcd, the servers or other nodes
READINESS = "readiness"  # a member of the cluster that takes work: joined, listening, neither draining nor stopping

_MAX_CONCURRENT_RPCS = 64


class Probes(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # later versions of it have more methods
    """An async context manager that serves while it is open; owns its server. Without an address it serves nothing."""

    def __init__(self, address: str | None) -> None:
        self._address = address
        self._server: grpc.aio.Server | None = None
        self._ready: Callable[[], bool] = _never

    async def __aenter__(self) -> Self:
        """Raises BadInput where it cannot listen."""
        if self._address is not None:
            self._server = await self._serve(self._address)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            await self._server.stop(None)

    @contextlib.contextmanager
    def ready_while(self, condition: Callable[[], bool]) -> Iterator[None]:
        """Inside, the node is ready whenever the condition holds; outside, it is not."""
        self._ready = condition
        try:
            yield
        finally:
            self._ready = _never

    async def _serve(self, address: str) -> grpc.aio.Server:
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)], maximum_concurrent_rpcs=_MAX_CONCURRENT_RPCS)
        health_pb2_grpc.add_HealthServicer_to_server(self, server)
        try:
            port = server.add_insecure_port(address)
        except RuntimeError:
            port = 0
        if port == 0:
            raise BadInput(f"cannot serve probes on {address}: give another address or port with --probes")
        await server.start()
        return server

    # The methods of grpc.health.v1.Health.

    async def Check(self, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        answers = {LIVENESS: _always, READINESS: self._ready}
        answer = answers.get(request.service)
        if answer is None:  # one of the two taken for the other would restart nodes, or route to them, in silence
            known = " and ".join(answers)
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no probe {request.service!r}: the services are {known}")
            raise AssertionError("abort raises")
        status = health_pb2.HealthCheckResponse.SERVING if answer() else health_pb2.HealthCheckResponse.NOT_SERVING
        return health_pb2.HealthCheckResponse(status=status)

    # All others are the base class's: UNIMPLEMENTED. Probes are asked one by one.


def _always() -> bool:
    return True


def _never() -> bool:
    return False
