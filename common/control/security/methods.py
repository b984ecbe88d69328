"""Every method that a node serves and who may call it: the one table that decides.

A method that is not in it is refused to everybody, so a new one begins closed; a test compares it with the services.
A node holds the role `node` and none of the others: what a user asks for and a node forwards is decided by the user's
role. A user never holds `node`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


class Role(enum.StrEnum):
    VIEWER = "viewer"  # sees changefeeds and nodes, URIs included, which hold no password
    OPERATOR = "operator"  # keeps running what is there: stops, starts, moves
    ADMIN = "admin"  # decides what is replicated from where to where, and what is left out
    NODE = "node"  # is a peer

    @property
    def for_users(self) -> bool:
        return self is not Role.NODE


USER_ROLES: Final = frozenset(role for role in Role if role.for_users)


@dataclass(frozen=True, slots=True)
class Rule:
    """`roles`: one of them is needed; none: whoever gets a connection may call it. `changes`: goes to the audit log
    when it is allowed, too."""

    roles: frozenset[Role]
    changes: bool = False

    @property
    def internal(self) -> bool:
        return self.roles == frozenset((Role.NODE,))


_ANYBODY: Final = Rule(frozenset())
_SEES: Final = Rule(frozenset((Role.VIEWER, Role.OPERATOR, Role.ADMIN)))
_OPERATES: Final = Rule(frozenset((Role.OPERATOR, Role.ADMIN)), changes=True)
_DECIDES: Final = Rule(frozenset((Role.ADMIN,)), changes=True)
_PEER: Final = Rule(frozenset((Role.NODE,)))

_SERVICES: Final[Mapping[str, Mapping[str, Rule]]] = {
    "hedgerow.v1.Admin": {
        "CreateChangefeed": _DECIDES,
        "Update": _DECIDES,
        "Skip": _DECIDES,
        "Remove": _DECIDES,
        "Pause": _OPERATES,
        "Resume": _OPERATES,
        "DrainNode": _OPERATES,
        "MoveMaintainer": _OPERATES,
        "MoveDispatcher": _OPERATES,
        "Get": _SEES,
        "List": _SEES,
        "Watch": _SEES,
        "ListNodes": _SEES,
    },
    "hedgerow.v1.MaintainerHost": {
        "AddMaintainer": _PEER,
        "RemoveMaintainer": _PEER,
        "Status": _PEER,
        "PlaceDispatcher": _PEER,
        "Drain": _PEER,
    },
    "hedgerow.v1.Dispatch": {
        "Bootstrap": _PEER,
        "Schedule": _PEER,
        "Heartbeat": _PEER,
        "Barrier": _PEER,
        "Close": _PEER,
    },
    "grpc.health.v1.Health": {"Check": _ANYBODY, "List": _ANYBODY, "Watch": _ANYBODY},
    "grpc.reflection.v1alpha.ServerReflection": {"ServerReflectionInfo": _SEES},
}

METHODS: Final[Mapping[str, Rule]] = MappingProxyType(
    {f"/{service}/{name}": rule for service, rules in _SERVICES.items() for name, rule in rules.items()}
)
"""By the path that gRPC sends, /package.Service/Method."""


def is_open(method: str) -> bool:
    """Whether whoever gets a connection may call it."""
    rule = METHODS.get(method)
    return rule is not None and not rule.roles
