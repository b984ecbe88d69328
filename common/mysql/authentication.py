"""Connections that show the password to nobody who has not proved to be the server.

A server chooses how its clients authenticate, and anybody can play a server: one that asks for the password in clear,
or for one that is encrypted with a key that it sends along, learns it. So both are refused, unless TLS has verified the
server's certificate, or, for caching_sha2_password, the URI pins the server's public key. What remains without them are
challenges: mysql_native_password, client_ed25519, and caching_sha2_password where the server has seen the account since
it started.

Source: MySQL internals, "Connection Phase"; PyMySQL's Connection._request_authentication, of which only the edge that
writes packets is overridden.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pymysql
from pymysql.connections import Connection

if TYPE_CHECKING:
    from pymysql.cursors import Cursor

    _Connection = Connection[Cursor]
else:
    _Connection = Connection

# They send the password as it is, or let the server choose the key, or hash it so that it is found within seconds.
_REVEALING: Final = frozenset({"mysql_clear_password", "dialog", "sha256_password", "mysql_old_password"})
_KEY_REQUEST: Final = b"\x02"  # caching_sha2_password: "send me your public key"


class PasswordWithheld(pymysql.OperationalError):
    """The server wants the password in a way that would reveal it, and has not proved who it is."""


class GuardedConnection(_Connection):
    """`proven`: the server has a certificate that was verified before anything is sent."""

    def __init__(self, *, proven: bool, **arguments: Any) -> None:
        self._proven = proven
        self._authenticating = False
        super().__init__(**arguments)

    def _request_authentication(self) -> None:
        self._check_plugin(vars(self).get("_auth_plugin_name", ""))
        self._authenticating = True
        try:
            super()._request_authentication()  # type: ignore[misc]
        finally:
            self._authenticating = False

    def _process_auth(self, plugin_name: bytes, auth_packet: Any, handler: Any = None) -> Any:
        self._check_plugin(plugin_name.decode("ascii", "replace"))
        return super()._process_auth(plugin_name, auth_packet, handler)  # type: ignore[misc]

    def write_packet(self, payload: bytes) -> None:
        secret = vars(self).get("password") or b""
        reveals = payload == _KEY_REQUEST or (secret and payload == secret + b"\0")
        if self._authenticating and not self._proven and reveals:
            raise PasswordWithheld("caching_sha2_password wants full authentication")
        super().write_packet(payload)

    def _check_plugin(self, name: str) -> None:
        if name in _REVEALING and vars(self).get("password") and not self._proven:
            raise PasswordWithheld(f"it asks for authentication by {name}")
