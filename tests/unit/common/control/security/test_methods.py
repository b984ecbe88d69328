"""The table of methods against what a node serves, and against what is promised of the roles."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from google.protobuf import descriptor_pool

from hedgerow import node
from hedgerow.common.config import NodeConfig
from hedgerow.common.control.security.build import Security
from hedgerow.common.control.security.caller import Caller
from hedgerow.common.control.security.guard import decide
from hedgerow.common.control.security.methods import METHODS, USER_ROLES, Role
from hedgerow.common.errors import Forbidden

LATER = {"/grpc.health.v1.Health/List"}  # of later versions of grpcio-health-checking


async def served() -> set[str]:
    """The methods of every service that a node registers, as the descriptors of the services name them."""
    config = NodeConfig.load(None, {"name": "n"})
    membership: Any = SimpleNamespace(node="n-1", members=SimpleNamespace(nodes={}))
    life = node._Life(config, cast(Any, SimpleNamespace()), membership, Security.build(config))
    pool = descriptor_pool.Default()
    return {
        f"/{service}/{method.name}"
        for service in life._server.services
        for method in pool.FindServiceByName(service).methods
    }


async def test_every_method_that_is_served_is_in_the_table_and_no_other() -> None:
    found = await served() | LATER
    assert found == set(METHODS), {
        "missing in the table": found - set(METHODS),
        "unknown to every service": set(METHODS) - found,
    }


def test_no_user_may_call_what_is_for_nodes_and_no_node_what_is_for_users() -> None:
    for method, rule in METHODS.items():
        internal = "/hedgerow.v1.Dispatch/" in method or "/hedgerow.v1.MaintainerHost/" in method
        assert rule.internal is internal, method
        assert internal or Role.NODE not in rule.roles, method
        assert not (internal and rule.roles & USER_ROLES), method


def test_an_operator_may_what_a_viewer_may_and_an_admin_what_an_operator_may() -> None:
    for method, rule in METHODS.items():
        assert Role.VIEWER not in rule.roles or Role.OPERATOR in rule.roles, method
        assert Role.OPERATOR not in rule.roles or Role.ADMIN in rule.roles, method


def test_a_viewer_changes_nothing() -> None:
    for method, rule in METHODS.items():
        assert not (rule.changes and Role.VIEWER in rule.roles), method


def test_a_method_that_is_not_in_the_table_is_refused_to_everybody() -> None:
    with pytest.raises(Forbidden, match="not in the table"):
        decide("/hedgerow.v1.Admin/Shutdown", Caller("CN:root", frozenset(Role), "certificate"))


def test_who_has_no_role_may_ask_for_health_only() -> None:
    allowed = set()
    for method in METHODS:
        try:
            decide(method, Caller("CN:x", frozenset(), "certificate"))
        except Forbidden:
            continue
        allowed.add(method)
    assert allowed == {"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"} | LATER
