"""Names of certificates and the roles that they have."""

from __future__ import annotations

import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.common.control.security.authenticator import Plain, Verified
from hedgerow.common.control.security.caller import (
    CALLER_METADATA,
    Caller,
    RoleRules,
    current_caller,
    forwarding_metadata,
    read_certificate,
    read_forwarded,
)
from hedgerow.common.control.security.methods import Role
from hedgerow.common.errors import BadInput, Forbidden, Unauthenticated
from hedgerow.sandbox.certificates import Authority

RULES = RoleRules.read(
    {
        Role.NODE: ["DNS:*.peers.example.com", "URI:spiffe://x/node"],
        Role.ADMIN: ["CN:alice"],
        Role.VIEWER: ["DNS:grafana.example.com"],
    }
)
NODE = Caller("DNS:a.peers.example.com", frozenset((Role.NODE,)), "certificate")


def roles(*names: str) -> frozenset[Role]:
    return RULES.roles(names, "it")


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("DNS:a.peers.example.com", Role.NODE),
        ("DNS:*.peers.example.com", Role.NODE),  # of a certificate for all of them
        ("URI:spiffe://x/node", Role.NODE),
        ("CN:alice", Role.ADMIN),
        ("DNS:grafana.example.com", Role.VIEWER),
    ],
)
def test_a_name_has_its_role(name: str, role: Role) -> None:
    assert roles(name) == {role}


@pytest.mark.parametrize(
    "name",
    [
        "CN:a.peers.example.com",  # another kind of name
        "URI:a.peers.example.com",
        "DNS:alice",
        "DNS:a.b.peers.example.com",  # two labels
        "DNS:.peers.example.com",
        "DNS:peers.example.com",
        "DNS:evilpeers.example.com",
        "DNS:a.peers.example.com.evil.org",
        "CN:Alice",
        "SUB:alice",
        "TOKEN:alice",
    ],
)
def test_a_name_that_only_looks_like_it_has_none(name: str) -> None:
    assert roles(name) == frozenset()


def test_a_certificate_that_is_node_and_user_is_neither() -> None:
    with pytest.raises(Unauthenticated, match="both node and admin"):
        roles("DNS:a.peers.example.com", "CN:alice")


@given(st.sets(st.sampled_from(["CN:alice", "CN:bob", "DNS:a.peers.example.com", "DNS:grafana.example.com"])))
def test_nobody_is_ever_node_and_something_else(names: set[str]) -> None:
    try:
        found = roles(*names)
    except Unauthenticated:
        return
    assert found == {Role.NODE} or Role.NODE not in found


@pytest.mark.parametrize(
    ("role", "rule"),
    [
        (Role.ADMIN, "alice"),
        (Role.ADMIN, "CN:"),
        (Role.ADMIN, "IP:10.0.0.1"),
        (Role.ADMIN, "CN:*"),
        (Role.ADMIN, "DNS:*"),
        (Role.ADMIN, "DNS:*.com"),
        (Role.ADMIN, "DNS:a*.example.com"),
        (Role.ADMIN, "URI:spiffe://x/*"),
        (Role.NODE, "SUB:alice"),
    ],
)
def test_a_rule_that_would_let_in_too_many_is_refused(role: Role, rule: str) -> None:
    with pytest.raises(BadInput, match=f"role_{role}"):
        RoleRules.read({role: [rule]})


def test_a_name_cannot_be_given_to_nodes_and_to_users() -> None:
    with pytest.raises(BadInput, match=r"role_node and role_viewer both name DNS:x\.example\.com"):
        RoleRules.read({Role.NODE: ["DNS:X.example.com"], Role.VIEWER: ["DNS:x.example.com"]})


def test_a_certificate_has_its_names_by_kind(tmp_path: Path) -> None:
    cert, _ = Authority(tmp_path).renew("alice", hosts=["a.Example.com", "127.0.0.1"], uris=["spiffe://x/y"])
    assert read_certificate(cert.read_bytes()).names == ("CN:alice", "DNS:a.example.com", "URI:spiffe://x/y")


def test_a_certificate_that_has_expired_is_refused_though_its_connection_lives(tmp_path: Path) -> None:
    cert, _ = Authority(tmp_path).renew("alice", valid=datetime.timedelta(days=-1))
    with pytest.raises(Unauthenticated, match="not valid now"):
        Verified(RULES).identify(context(pem=cert.read_bytes()))


def context(*, pem: bytes = b"", metadata: tuple[tuple[str, Any], ...] = ()) -> Any:
    return SimpleNamespace(
        peer=lambda: "ipv4:10.0.0.1:5",
        auth_context=lambda: {"x509_pem_cert": [pem]} if pem else {},
        invocation_metadata=lambda: metadata,
    )


def forwarded(caller: Caller) -> tuple[tuple[str, bytes], ...]:
    token = current_caller.set(caller)
    try:
        return forwarding_metadata()
    finally:
        current_caller.reset(token)


ALICE = Caller("CN:älice", frozenset((Role.ADMIN,)), "certificate", "ipv4:10.0.0.9:1")


def test_a_node_forwards_for_a_user_and_the_user_is_who_calls(tmp_path: Path) -> None:
    cert, _ = Authority(tmp_path).renew("n", hosts=["n1.peers.example.com"])
    found = Verified(RULES).identify(context(pem=cert.read_bytes(), metadata=forwarded(ALICE)))
    assert found == Caller(ALICE.name, ALICE.roles, ALICE.via, ALICE.address, forwarded_by="CN:n")


def test_only_a_node_may_say_for_whom_it_calls(tmp_path: Path) -> None:
    cert, _ = Authority(tmp_path).renew("alice", hosts=[])
    with pytest.raises(Forbidden, match="no node"):
        Verified(RULES).identify(context(pem=cert.read_bytes(), metadata=forwarded(ALICE)))


@pytest.mark.parametrize(
    "said",
    [b"", b"{}", b"[]", b"\xff", b'{"name": "x", "roles": ["node"], "via": "jwt", "address": ""}',
     b'{"name": "x", "roles": ["root"], "via": "jwt", "address": ""}',
     b'{"name": 1, "roles": [], "via": "jwt", "address": ""}'],
)  # fmt: skip
def test_what_a_node_says_of_a_user_is_checked(said: bytes) -> None:
    with pytest.raises(Unauthenticated):
        read_forwarded(said, NODE)


def test_a_node_never_forwards_its_own_role() -> None:
    ((key, said),) = forwarded(NODE)
    assert key == CALLER_METADATA
    assert read_forwarded(said, NODE).roles == frozenset()


def test_without_certificate_and_token_nobody_is_known() -> None:
    with pytest.raises(Unauthenticated, match="neither a certificate nor a token"):
        Verified(RULES).identify(context())


def test_a_token_that_came_in_clear_is_refused() -> None:
    with pytest.raises(Unauthenticated, match="without TLS"):
        Plain().identify(context(metadata=(("authorization", "Bearer hgr_x"),)))
