"""Who calls: names proved by a certificate or a token, and the roles that the configuration gives to those names.

A name says what kind of proof it comes from, so that one kind can never stand in for another:

    CN:alice                        the one common name of a certificate's subject
    DNS:node1.example.com           a DNS name among its alternative names
    URI:spiffe://example.com/node   a URI among them
    SUB:alice@example.com           the subject of a signed token (JWT)
    TOKEN:grafana                   an entry of the token file, which has its role there

In a rule, DNS:*.example.com stands for every name with one label in the place of the star.
A certificate that is a node by one of its names and a user by another is neither: nobody has meant that.
"""

from __future__ import annotations

import datetime
import functools
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from hedgerow.common.control.security.methods import USER_ROLES, Role
from hedgerow.common.errors import BadInput, Unauthenticated

KINDS: Final = ("CN", "DNS", "URI", "SUB")
CALLER_METADATA: Final = "hedgerow-caller-bin"
MAX_NAME: Final = 1024  # so that it can be passed on in metadata


@dataclass(frozen=True, slots=True)
class Caller:
    """`via`: certificate, token, jwt, or plain where nothing is asked. `forwarded_by`: the node that passed it on."""

    name: str
    roles: frozenset[Role]
    via: str
    address: str = ""
    forwarded_by: str = ""

    @property
    def is_node(self) -> bool:
        return Role.NODE in self.roles and self.via != "plain"


NOBODY: Final = Caller("unknown", frozenset(), "none")
current_caller: ContextVar[Caller | None] = ContextVar("current_caller", default=None)
"""Of the call that is being served."""


def forwarding_metadata() -> tuple[tuple[str, bytes], ...]:
    """Says to the next node for whom the call is made that is being served here."""
    caller = current_caller.get()
    if caller is None:
        return ()
    roles = sorted(role.value for role in caller.roles & USER_ROLES)
    said = {"name": caller.name, "roles": roles, "via": caller.via, "address": caller.address}
    return ((CALLER_METADATA, json.dumps(said).encode()),)


def read_forwarded(said: bytes, node: Caller) -> Caller:
    """The user for whom `node` passes a call on. Raises Unauthenticated."""
    try:
        fields = json.loads(said)
        roles = frozenset(Role(role) for role in fields["roles"])
        texts = [fields[key] for key in ("name", "via", "address")]
    except (ValueError, KeyError, TypeError):
        raise Unauthenticated(
            f"{node.name} forwards a call and does not say whose in a way that is understood"
        ) from None
    if not all(isinstance(text, str) and len(text) <= MAX_NAME for text in texts) or not roles <= USER_ROLES:
        raise Unauthenticated(f"{node.name} forwards a call for somebody who cannot be a user")
    name, via, address = texts
    return Caller(name, roles, via, address, forwarded_by=node.name)


@dataclass(frozen=True, slots=True)
class Certificate:
    """`names` as in the rules; `until`: seconds since 1970."""

    names: tuple[str, ...]
    until: float
    since: float

    def check_time(self) -> None:
        """A connection outlives the certificate that opened it. Raises Unauthenticated."""
        if not self.since <= time.time() <= self.until:
            when = datetime.datetime.fromtimestamp(self.until, datetime.UTC).isoformat()
            raise Unauthenticated(f"the certificate of {self.shown} is not valid now (valid until {when})")

    @property
    def shown(self) -> str:
        return self.names[0] if self.names else "a certificate without a name"


@functools.lru_cache(maxsize=4096)
def read_certificate(pem: bytes) -> Certificate:
    """Raises Unauthenticated where it cannot be read."""
    try:
        found = x509.load_pem_x509_certificate(pem)
        names = tuple(_names(found))
    except ValueError as error:
        raise Unauthenticated(f"the certificate cannot be read: {error}") from None
    return Certificate(names, found.not_valid_after_utc.timestamp(), found.not_valid_before_utc.timestamp())


def _names(certificate: x509.Certificate) -> Iterable[str]:
    common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(common) == 1:  # of several, which one is meant?
        yield f"CN:{_text(common[0].value)}"
    try:
        others = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    for name in others.get_values_for_type(x509.DNSName):
        yield f"DNS:{name.lower()}"
    for name in others.get_values_for_type(x509.UniformResourceIdentifier):
        yield f"URI:{name}"


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


@dataclass(frozen=True)
class RoleRules:
    """The names that have each role."""

    names: Mapping[Role, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def read(cls, names: Mapping[Role, Sequence[str]]) -> RoleRules:
        """Raises BadInput for a rule that cannot be read, and for one that makes a node of a user."""
        read = {role: tuple(_read_rule(role, text) for text in texts) for role, texts in names.items()}
        nodes = set(read.get(Role.NODE, ()))
        for role in USER_ROLES:
            both = nodes.intersection(read.get(role, ()))
            if both:
                raise BadInput(
                    f"role_node and role_{role} both name {min(both)}: a node is no user; give the user a certificate "
                    "of another name"
                )
        return cls(read)

    def roles(self, names: Iterable[str], shown: str) -> frozenset[Role]:
        """Raises Unauthenticated for one that is node and user."""
        names = tuple(names)
        found = frozenset(
            role for role, rules in self.names.items() if any(_matches(rule, name) for rule in rules for name in names)
        )
        if Role.NODE in found and len(found) > 1:
            others = ", ".join(sorted(found - {Role.NODE}))
            raise Unauthenticated(f"{shown} is both node and {others} by its names, so it is neither: see role_node")
        return found


def _read_rule(role: Role, text: str) -> str:
    kind, colon, name = text.partition(":")
    if not colon or kind not in KINDS or not name:
        raise BadInput(f"role_{role}: {text!r} is not KIND:NAME, where KIND is one of {', '.join(KINDS)}")
    if role is Role.NODE and kind == "SUB":
        raise BadInput(f"role_node: {text!r}: a node is known by its certificate, not by a token")
    if "*" in name and (kind != "DNS" or not name.startswith("*.") or "*" in name[1:] or "." not in name[2:]):
        raise BadInput(
            f"role_{role}: {text!r}: * stands for the first label of a DNS name only, as in DNS:*.example.com"
        )
    return f"DNS:{name.lower()}" if kind == "DNS" else text


def _matches(rule: str, name: str) -> bool:
    if rule == name:
        return True
    if not rule.startswith("DNS:*."):
        return False
    label, dot, rest = name.removeprefix("DNS:").partition(".")
    return name.startswith("DNS:") and bool(label and dot) and rest == rule.removeprefix("DNS:*.")
