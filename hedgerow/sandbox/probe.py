"""Asks a node's probes as a kubelet does: a new connection for each question, and one deadline for all of it."""

from __future__ import annotations

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

SECONDS = 2.0


def ask(address: str, service: str, seconds: float = SECONDS) -> str:
    """SERVING or NOT_SERVING; otherwise the name of the gRPC status: UNAVAILABLE where nobody listens,
    DEADLINE_EXCEEDED where nothing comes back."""
    with grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        request = health_pb2.HealthCheckRequest(service=service)
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=seconds)
        except grpc.RpcError as error:
            return str(error.code().name)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))
