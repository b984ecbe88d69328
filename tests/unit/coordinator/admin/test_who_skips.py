"""Who leaves a transaction out is whom the node knows, and not whom the caller names."""

from __future__ import annotations

from typing import Any, cast

import pytest

from hedgerow.common.control.security.caller import Caller, current_caller
from hedgerow.common.control.security.methods import Role
from hedgerow.common.pb.v1 import admin_pb2 as pb
from hedgerow.coordinator.admin.service import AdminService


class Recorded(AdminService):
    def __init__(self) -> None:
        self.request: Any = None

    async def _serve(self, method: str, request: Any, context: Any, here: Any) -> Any:
        self.request = request


@pytest.mark.parametrize(("via", "by"), [("certificate", "CN:alice"), ("jwt", "CN:alice"), ("plain", "root@laptop")])
async def test_by_whom_a_transaction_is_left_out(via: str, by: str) -> None:
    current_caller.set(Caller("CN:alice", frozenset((Role.ADMIN,)), via))
    service = Recorded()
    await service.Skip(pb.SkipRequest(name="shop", transaction="0-1-2", by="root@laptop"), cast(Any, None))
    assert service.request.by == by
