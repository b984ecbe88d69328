"""What a node's configuration says about security, checked as a whole."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from hedgerow.common.control.security.caller import RoleRules
from hedgerow.common.control.security.methods import Role
from hedgerow.common.errors import BadInput


class Settings(Protocol):
    """The part of NodeConfig that is read here."""

    @property
    def listen(self) -> str: ...
    @property
    def called(self) -> str: ...
    @property
    def insecure(self) -> bool: ...
    @property
    def tls_ca(self) -> Path | None: ...
    @property
    def tls_cert(self) -> Path | None: ...
    @property
    def tls_key(self) -> Path | None: ...
    @property
    def token_listen(self) -> str | None: ...
    @property
    def token_hashes(self) -> Path | None: ...
    @property
    def jwt_keys(self) -> Path | None: ...
    @property
    def jwt_issuer(self) -> str | None: ...
    @property
    def jwt_audience(self) -> str | None: ...
    @property
    def role_node(self) -> Sequence[str]: ...
    @property
    def role_viewer(self) -> Sequence[str]: ...
    @property
    def role_operator(self) -> Sequence[str]: ...
    @property
    def role_admin(self) -> Sequence[str]: ...
    @property
    def audit_log(self) -> Path | None: ...
    @property
    def user_calls(self) -> int: ...
    @property
    def user_streams(self) -> int: ...


_TLS_ONLY: Final = (
    "token_listen",
    "token_hashes",
    "jwt_keys",
    "role_node",
    "role_viewer",
    "role_operator",
    "role_admin",
)


def check(settings: Settings, host: str) -> None:
    """`host`: of `listen`. Raises ValueError for settings that do not fit together."""
    tls = [name for name in ("tls_ca", "tls_cert", "tls_key") if getattr(settings, name) is not None]
    if tls and len(tls) < 3:
        raise ValueError(f"tls_ca, tls_cert and tls_key go together: only {' and '.join(tls)} is given")
    if not tls:
        _check_plain(settings, host)
        return
    if settings.insecure:
        raise ValueError("insecure = true and tls_ca, tls_cert, tls_key contradict each other: leave one of them out")
    if not settings.role_node:
        raise ValueError(
            "with TLS, role_node must name the certificates of the nodes, as in role_node = ['DNS:*.peers.example.com']"
        )
    jwt = [name for name in ("jwt_keys", "jwt_issuer", "jwt_audience") if getattr(settings, name) is not None]
    if jwt and len(jwt) < 3:
        raise ValueError(f"jwt_keys, jwt_issuer and jwt_audience go together: only {' and '.join(jwt)} is given")
    if (settings.token_listen is None) != (settings.token_hashes is None and settings.jwt_keys is None):
        raise ValueError(
            "token_listen goes with token_hashes or jwt_keys: who has a token but no certificate is served on a port "
            "of their own"
        )
    rules(settings)


def _check_plain(settings: Settings, host: str) -> None:
    useless = [name for name in _TLS_ONLY if getattr(settings, name)]
    if useless:
        raise ValueError(
            f"{' and '.join(useless)} need{'s' if len(useless) == 1 else ''} TLS, as nobody can be told from anybody "
            "without: give tls_ca, tls_cert and tls_key"
        )
    if not settings.insecure and not is_loopback(host):
        raise ValueError(
            f"listen is {settings.listen}, which others can reach, and whoever reaches it can read and redirect every "
            "database: give tls_ca, tls_cert and tls_key (docs/security.md), or listen on 127.0.0.1, or write "
            "insecure = true where the network keeps everybody else out"
        )


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def rules(settings: Settings) -> RoleRules:
    """Raises ValueError."""
    try:
        return RoleRules.read({role: getattr(settings, f"role_{role}") for role in Role})
    except BadInput as error:
        raise ValueError(str(error)) from None
