"""Connecting to a MySQL or MariaDB server, and asking it who it is.

Every connection of Hedgerow is made here: with a deadline that also covers the handshake (a frozen server accepts TCP
connections but never greets), with the URI's TLS mode, and with `program_name` hedgerow in the server's connection
attributes. Failures become SourceUnavailable or SinkUnavailable: what, where, and what to do; never a secret.
Blocking: call it from a thread.
"""

from __future__ import annotations

import re
import socket
import ssl
from dataclasses import dataclass
from typing import Any, Literal

import pymysql
from pymysql.connections import Connection
from pymysql.constants import CLIENT
from pymysql.cursors import Cursor

from hedgerow.common.errors import BadInput, SecretUnreadable, SinkUnavailable, SourceUnavailable, Unavailable
from hedgerow.common.mysql import hosts
from hedgerow.common.mysql.authentication import GuardedConnection, PasswordWithheld
from hedgerow.common.mysql.error_codes import LOGIN_REFUSED
from hedgerow.common.mysql.secrets import readable_file
from hedgerow.common.mysql.uri import ServerUri

Flavour = Literal["mysql", "mariadb"]
What = Literal["source", "sink"]

_HINTS = {
    1040: "too many connections: raise max_connections there",
    1129: "the server blocks this host after failed connects: run FLUSH HOSTS there",
    1130: "the server does not let this host in: CREATE USER for this host there",
    1203: "the user has too many connections: raise max_user_connections there",
    1226: "the user has exceeded a limit of its account: ALTER USER ... WITH ... there",
    2026: "encryption failed: see ssl_mode, ssl_ca, ssl_cert and ssl_key in the URI",
}


# Whatever the server's globals are, Hedgerow's own statements mean the same, see all rows, and take the time they need:
# as it is for a replica's threads. The comments are executed by one flavour each.
_SETTINGS = (
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', completion_type = 0, sql_safe_updates = 0,"
    " sql_big_selects = 1, sql_select_limit = 18446744073709551615"
    " /*M!100100 , max_statement_time = 0, tx_read_only = 0 */"
    " /*!80000 , max_execution_time = 0, transaction_read_only = 0 */"
)


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """`source_id` is what positions carry: MySQL's @@server_uuid, MariaDB's @@server_id."""

    flavour: Flavour
    version: tuple[int, int, int]
    version_text: str
    source_id: str

    def __str__(self) -> str:
        return f"{'MariaDB' if self.flavour == 'mariadb' else 'MySQL'} {'.'.join(map(str, self.version))}"


def connect(
    uri: ServerUri,
    what: What,
    *,
    timeout: float = 5.0,
    read_timeout: float | None = None,
    autocommit: bool = True,
    found_rows: bool = False,
) -> Connection[Cursor]:
    """Connect within `timeout` seconds; later reads may take `read_timeout` seconds each (None: for ever).

    `found_rows`: UPDATE reports the rows that match instead of those that change. Raises SourceUnavailable or
    SinkUnavailable: also where access is denied (a rotated password fixes it), or the secret or a certificate that the
    URI names cannot be read on this node, or the host is none of those it may connect to.
    """
    try:
        hosts.check(uri.host)
        password = uri.password()
        tls = _tls(uri)
        public_key = _public_key(uri)
    except BadInput as error:
        raise _kind(what)(f"{what}: {error}") from None
    try:
        connection: Connection[Cursor] = GuardedConnection(
            proven=uri.encryption.startswith("verify"),
            host=uri.host,
            port=uri.port,
            user=uri.user,
            password=password.encode(),
            charset="utf8mb4",
            autocommit=autocommit,
            client_flag=CLIENT.FOUND_ROWS if found_rows else 0,
            connect_timeout=timeout,
            read_timeout=timeout,
            write_timeout=timeout,
            program_name="hedgerow",
            init_command=_SETTINGS,
            server_public_key=public_key,
            **tls,
        )
    except (pymysql.MySQLError, OSError, RuntimeError) as error:
        raise unavailable(uri, what, error, timeout=timeout) from error
    set_timeouts(connection, read_timeout)
    return connection


def set_timeouts(connection: Connection[Any], seconds: float | None) -> None:
    """From now on each read and write of this connection may take so many seconds; None: for ever."""
    vars(connection).update(_read_timeout=seconds, _write_timeout=seconds)


def detect_dead_peer(connection: Connection[Any], seconds: int) -> None:
    """Break the connection when its peer has acknowledged nothing for about so long, also while it waits for an answer
    (tcp(7): TCP_USER_TIMEOUT for what was sent, keepalive probes where nothing is)."""
    raw: socket.socket = vars(connection)["_sock"]
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, seconds * 1000)
    for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL):
        raw.setsockopt(socket.IPPROTO_TCP, option, max(1, seconds // 3))


def unavailable(uri: ServerUri, what: What, error: Exception, *, timeout: float | None = None) -> Unavailable:
    """The error to raise when `error` ended a connection, or the attempt to make one."""
    kind = _kind(what)
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    text = str(error.args[1]) if len(error.args) > 1 else str(error)
    cause = getattr(error, "original_exception", error)
    where = f"{what} {uri.address}"
    if isinstance(error, PasswordWithheld):
        return kind(
            f"{where} was not shown the password of {uri.user!r}: {error}, and it has not proved who it is. Add "
            "ssl_ca=/path/to/ca.pem to the URI, so that its certificate is verified; or, for caching_sha2_password, "
            "server_public_key=/path/to/public_key.pem (a copy of the file in its data directory). It may "
            f"ask like this where the password is wrong, too: it is {uri.password_from}"
        )
    if code in LOGIN_REFUSED:
        return kind(
            f"{where} denies access to user {uri.user!r} ({code}: {text}). The password is {uri.password_from}; "
            "check it and the account on the server (CREATE USER, where there is none of this name for this host)"
            f"{_tls_hint(uri)}"
        )
    if isinstance(cause, RuntimeError) and "pynacl" in text:
        return kind(
            f"{where} asks for ed25519 authentication of user {uri.user!r}, which this node cannot do: it needs PyNaCl "
            f"in its Python environment (pip install pynacl); or give the account another method: ALTER USER "
            f"{uri.user} IDENTIFIED VIA mysql_native_password USING PASSWORD('...')"
        )
    if code in _HINTS or isinstance(cause, ssl.SSLError):
        hint = _HINTS.get(code, _HINTS[2026])
        return kind(f"{where} cannot be used as {uri.user!r}: {hint} ({text})")
    if isinstance(cause, ConnectionRefusedError):
        return kind(f"{where} refuses connections: nothing listens there. Is the server up, are host and port right?")
    if isinstance(cause, socket.gaierror):
        return kind(f"{where}: host name {uri.host!r} is not known ({cause.strerror or cause}). Check it and DNS")
    if isinstance(cause, TimeoutError) or "timed out" in text:
        within = f" within {timeout:g} s" if timeout else ""
        return kind(f"{where} does not answer{within}. Is the server up, does a firewall drop the packets?")
    return kind(f"{where} is not available as {uri.user!r}: {code or type(cause).__name__}: {text}")


def _tls_hint(uri: ServerUri) -> str:
    """A server refuses an account that demands TLS in the same words as a wrong password."""
    if uri.encryption in ("disabled", "preferred"):
        return ". If it was made with REQUIRE SSL, add ssl_mode=required to the URI"
    return "" if uri.ssl_cert else ". If it was made with REQUIRE X509, add ssl_cert and ssl_key to the URI"


def _kind(what: What) -> type[SourceUnavailable] | type[SinkUnavailable]:
    return SourceUnavailable if what == "source" else SinkUnavailable


def server_info(connection: Connection[Any]) -> ServerInfo:
    """Ask for flavour, version and identity. Raises what PyMySQL raises when the connection breaks."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT VERSION(), @@version_comment, @@server_id")
        text, comment, server_id = cursor.fetchone() or ("", "", "")
        flavour: Flavour = "mariadb" if "mariadb" in f"{text} {comment}".lower() else "mysql"
        if flavour == "mysql":
            cursor.execute("SELECT @@server_uuid")
            (server_id,) = cursor.fetchone() or ("",)
    return ServerInfo(flavour, parse_version(str(text)), str(text), str(server_id))


def parse_version(text: str) -> tuple[int, int, int]:
    """'10.11.6-MariaDB-log' and '5.5.5-10.11.6-MariaDB' are (10, 11, 6)."""
    match = re.match(r"(?:5\.5\.5-)?(\d+)\.(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2]), int(match[3])) if match else (0, 0, 0)


def _tls(uri: ServerUri) -> dict[str, Any]:
    """PyMySQL's arguments. Without any it prefers TLS and goes on without where the server has none."""
    mode = uri.encryption
    if mode == "disabled":
        return {"ssl_disabled": True}
    if mode == "preferred":
        return {}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = mode == "verify_identity"
    context.verify_mode = ssl.CERT_REQUIRED if mode.startswith("verify") else ssl.CERT_NONE
    reading = uri.ssl_ca
    try:
        if uri.ssl_ca:
            context.load_verify_locations(readable_file("ssl_ca", uri.ssl_ca))
        if uri.ssl_cert:
            reading = uri.ssl_cert
            key = readable_file("ssl_key", uri.ssl_key) if uri.ssl_key else None
            context.load_cert_chain(readable_file("ssl_cert", uri.ssl_cert), key)
    except (OSError, ssl.SSLError) as error:
        raise SecretUnreadable(f"certificate {reading} for {uri.address} cannot be loaded: {error}") from None
    return {"ssl": context}


def _public_key(uri: ServerUri) -> bytes | None:
    if not uri.server_public_key:
        return None
    try:
        return readable_file("server_public_key", uri.server_public_key).read_bytes()
    except OSError as error:
        raise SecretUnreadable(
            f"server_public_key {uri.server_public_key} for {uri.address} cannot be read: {error.strerror}"
        ) from None
