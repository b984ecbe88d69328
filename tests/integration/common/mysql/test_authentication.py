"""Whoever plays a server learns no password, and a server that has proved who it is gets it."""

from __future__ import annotations

import secrets
from pathlib import Path

import pymysql
import pytest

from hedgerow.common.errors import SourceUnavailable
from hedgerow.common.mysql.connect import connect
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.sandbox.servers import ServerPair
from tests.integration.common.mysql.rogue import rogue_server


@pytest.fixture
def secret(tmp_path: Path) -> str:
    value = secrets.token_hex(12)
    (tmp_path / "secret").write_text(value)
    return value


WAYS = (
    ("mysql_native_password", "mysql_clear_password"),
    ("caching_sha2_password", "mysql_clear_password"),
    ("mysql_native_password", "dialog"),
    ("mysql_native_password", "mysql_old_password"),
    ("mysql_native_password", "sha256_password"),
    ("mysql_native_password", "caching_sha2_password"),
    ("caching_sha2_password", ""),
    ("sha256_password", ""),
    ("sha256_password", "caching_sha2_password"),
)


@pytest.mark.parametrize(("greets_with", "switches_to"), WAYS)
@pytest.mark.parametrize("mode", ["disabled", "preferred", "required"])
def test_a_rogue_server_learns_nothing(
    tmp_path: Path, secret: str, greets_with: str, switches_to: str, mode: str
) -> None:
    with rogue_server(greets_with, switches_to, tmp_path if mode == "required" else None) as rogue:
        uri = f"mysql://u@127.0.0.1:{rogue.port}/?password_file={tmp_path}/secret&ssl_mode={mode}"
        with pytest.raises(SourceUnavailable, match=r"was not shown the password of 'u'.*ssl_ca=") as caught:
            connect(ServerUri.parse(uri), "source")
    assert rogue.visited
    assert not rogue.knows(secret)
    assert secret not in str(caught.value)


@pytest.mark.parametrize(("greets_with", "switches_to"), [WAYS[0], WAYS[6], WAYS[7]])
def test_the_rogue_server_is_one(tmp_path: Path, secret: str, greets_with: str, switches_to: str) -> None:
    """It does learn the password of a client that does not look."""
    with rogue_server(greets_with, switches_to) as rogue, pytest.raises(pymysql.MySQLError):
        pymysql.connect(host="127.0.0.1", port=rogue.port, user="u", password=secret, ssl_disabled=True, read_timeout=2)
    assert rogue.knows(secret)


def test_full_authentication_with_a_pinned_key(server_pair: ServerPair, tmp_path: Path, secret: str) -> None:
    if server_pair.flavour != "mysql":
        pytest.skip("MariaDB has no caching_sha2_password")
    server = server_pair.source
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE USER pinned@'127.0.0.1' IDENTIFIED WITH caching_sha2_password BY '{secret}'")
        uri = f"mysql://pinned@127.0.0.1:{server.port}/?password_file={tmp_path}/secret"
        with pytest.raises(SourceUnavailable, match="server_public_key="):
            connect(ServerUri.parse(uri), "source")
        key = server.directory / "data" / "public_key.pem"
        connect(ServerUri.parse(f"{uri}&server_public_key={key}"), "source").close()
        connect(ServerUri.parse(uri), "source").close()  # the server has seen the account: a challenge is enough
        cursor.execute("FLUSH PRIVILEGES")  # forgets it
        authority = server.directory / "data" / "ca.pem"
        connect(ServerUri.parse(f"{uri}&ssl_mode=verify_ca&ssl_ca={authority}"), "source").close()
        cursor.execute("DROP USER pinned@'127.0.0.1'")
