"""The probes' servicer with the generated code of other versions of grpcio-health-checking than the installed one."""

from __future__ import annotations

from typing import Any

import pytest
from grpc_health.v1 import health_pb2_grpc

from hedgerow.common.errors import BadInput
from hedgerow.probes import LIVENESS, Probes
from hedgerow.sandbox.ports import free_port
from hedgerow.sandbox.probe import ask


async def test_a_method_that_a_later_version_adds_is_no_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    """As grpcio-health-checking did with List: its registration looks every method up in the servicer."""

    def check_all(self: Any, *_: Any) -> None:
        raise NotImplementedError

    monkeypatch.setattr(health_pb2_grpc.HealthServicer, "Later", check_all, raising=False)
    probes = Probes(None)
    for method in [name for name in vars(health_pb2_grpc.HealthServicer) if name[0].isupper()]:
        assert callable(getattr(probes, method))


async def test_an_address_that_cannot_be_had_is_named() -> None:
    with pytest.raises(BadInput, match=r"192\.0\.2\.1:7301.*--probes"):
        async with Probes("192.0.2.1:7301"):
            pass


async def test_nothing_is_served_without_an_address_or_afterwards() -> None:
    address = f"127.0.0.1:{free_port()}"
    async with Probes(None):
        pass
    async with Probes(address):
        pass
    assert ask(address, LIVENESS, 1.0) == "UNAVAILABLE"
