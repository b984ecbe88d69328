"""Connecting to real servers: each failure has its own message, and what the catalog tells is so."""

from __future__ import annotations

import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest
from pymysql._auth import ed25519_password

from hedgerow.common.errors import SinkUnavailable, SourceUnavailable
from hedgerow.common.mysql.catalog import columns, foreign_key_edges, foreign_keys, user_tables
from hedgerow.common.mysql.connect import connect, server_info, set_timeouts, unavailable
from hedgerow.common.mysql.filter import TableFilter
from hedgerow.common.mysql.names import TableName
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.sandbox.accounts import SOURCE_USER
from hedgerow.sandbox.ports import free_port
from hedgerow.sandbox.servers import ServerPair


def test_who_the_server_is(server_pair: ServerPair) -> None:
    with connect(ServerUri.parse(server_pair.source_uri), "source") as connection:
        info = server_info(connection)
        assert info.flavour == server_pair.flavour
        assert info.version > (8, 0, 0)
        assert info.source_id
        with connection.cursor() as cursor:
            cursor.execute("SELECT @@autocommit")
            assert cursor.fetchone() == (1,)


@pytest.mark.parametrize(("found_rows", "expected"), [(False, 0), (True, 1)])
def test_found_rows(server_pair: ServerPair, found_rows: bool, expected: int) -> None:
    uri = ServerUri.parse(server_pair.sink_uri)
    with connect(uri, "sink", found_rows=found_rows) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE shop")
        cursor.execute("CREATE TABLE shop.t (a INT)")
        cursor.execute("INSERT INTO shop.t VALUES (1)")
        assert cursor.execute("UPDATE shop.t SET a = 1") == expected


def test_the_wrong_password(server_pair: ServerPair, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("not-the-pa55word")
    uri = replace(ServerUri.parse(server_pair.sink.root.uri), password_file=str(secret))
    with pytest.raises(
        SinkUnavailable, match=r"sink 127.*denies access to user 'root'.*password is from file"
    ) as caught:
        connect(uri, "sink")
    assert "pa55word" not in str(caught.value) + repr(caught.value.__cause__)


def test_a_user_that_is_not_there(server_pair: ServerPair) -> None:
    uri = ServerUri.parse(f"mysql://nobody@127.0.0.1:{server_pair.source.port}")
    with pytest.raises(SourceUnavailable, match="denies access to user 'nobody'"):
        connect(uri, "source")


def test_nothing_listens() -> None:
    with pytest.raises(SourceUnavailable, match="refuses connections"):
        connect(ServerUri.parse(f"mysql://u@127.0.0.1:{free_port()}"), "source")


def test_an_unknown_host() -> None:
    with pytest.raises(SinkUnavailable, match=r"host name 'nowhere\.invalid' is not known"):
        connect(ServerUri.parse("mysql://u@nowhere.invalid"), "sink")


def test_a_server_that_accepts_and_is_silent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        uri = ServerUri.parse(f"mysql://u@127.0.0.1:{listener.getsockname()[1]}")
        begun = time.monotonic()
        with pytest.raises(SourceUnavailable, match=r"does not answer within 0\.3 s"):
            connect(uri, "source", timeout=0.3)
        assert time.monotonic() - begun < 3


def test_tls_of_a_server_that_is_not_trusted(server_pair: ServerPair, tmp_path: Path) -> None:
    uri = f"mysql://root@127.0.0.1:{server_pair.source.port}/?ssl_mode="
    if server_pair.flavour == "mariadb":
        with pytest.raises(SourceUnavailable, match="encryption failed"):
            connect(ServerUri.parse(f"{uri}required"), "source")
    else:
        with pytest.raises(SourceUnavailable, match="denies access"):
            connect(ServerUri.parse(f"{uri}required"), "source")
    with pytest.raises(SourceUnavailable, match="cannot be loaded"):
        connect(ServerUri.parse(f"{uri}verify_ca&ssl_ca={tmp_path}/none.pem"), "source")


def test_an_account_that_demands_tls(server_pair: ServerPair) -> None:
    """It is refused in the same words as a wrong password."""
    source = server_pair.source
    secret = source.account(SOURCE_USER).password
    with source.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_log_bin = 0")
        cursor.execute(f"CREATE USER strict@127.0.0.1 IDENTIFIED BY '{secret}' REQUIRE SSL")
        cursor.execute(f"CREATE USER stricter@127.0.0.1 IDENTIFIED BY '{secret}' REQUIRE X509")
    uri = server_pair.source_uri.replace(SOURCE_USER + "@", "{}@") + "&ssl_mode={}"
    with pytest.raises(SourceUnavailable, match=r"REQUIRE SSL, add ssl_mode=required"):
        connect(ServerUri.parse(uri.format("strict", "disabled")), "source")
    if source.flavour == "mysql":
        connect(ServerUri.parse(uri.format("strict", "required")), "source").close()
        authority = source.directory / "data" / "ca.pem"
        with pytest.raises(SourceUnavailable, match=r"REQUIRE X509, add ssl_cert and ssl_key"):
            connect(ServerUri.parse(uri.format("stricter", f"verify_ca&ssl_ca={authority}")), "source")


def test_ed25519_needs_what_is_not_installed() -> None:
    """MariaDB's server needs a plugin for it, too, so that the driver is asked alone."""
    with pytest.raises(RuntimeError) as raised:
        ed25519_password(b"secret", bytes(32))
    said = str(unavailable(ServerUri.parse("mysql://u@h"), "source", raised.value))
    assert "ed25519" in said
    assert "ALTER USER u IDENTIFIED VIA mysql_native_password" in said
    assert "RuntimeError" not in said


def test_tls_of_a_server_whose_authority_is_known(server_pair: ServerPair) -> None:
    authority = server_pair.source.directory / "data" / "ca.pem"
    if server_pair.flavour == "mariadb":
        assert not authority.exists()  # 10.11 makes no certificates; see test_tls_of_a_server_that_is_not_trusted
        return
    uri = f"{server_pair.source_uri}&ssl_ca={authority}"
    with connect(ServerUri.parse(f"{uri}&ssl_mode=verify_ca"), "source") as connection, connection.cursor() as cursor:
        cursor.execute("SHOW STATUS LIKE 'Ssl_cipher'")
        assert cursor.fetchall()[0][1]
    with pytest.raises(SourceUnavailable, match="encryption failed"):
        connect(ServerUri.parse(uri), "source")  # verifies the name too, which is not in MySQL's own certificate


def test_read_timeouts_begin_after_the_handshake(server_pair: ServerPair) -> None:
    with connect(ServerUri.parse(server_pair.source_uri), "source", timeout=1.0) as connection:
        with connection.cursor() as cursor:
            cursor.execute("SELECT SLEEP(1.3)")
        set_timeouts(connection, 0.2)
        with pytest.raises(Exception, match="timed out"), connection.cursor() as cursor:
            cursor.execute("SELECT SLEEP(5)")


def test_the_catalog_with_the_grants_of_a_source(server_pair: ServerPair) -> None:
    with server_pair.source.connect() as root, root.cursor() as cursor:
        for statement in (
            "CREATE DATABASE shop",
            "CREATE TABLE shop.p (id INT PRIMARY KEY, self INT, "
            "CONSTRAINT `o``dd` FOREIGN KEY (self) REFERENCES p (id))",
            "CREATE TABLE shop.c (a INT UNSIGNED, b VARCHAR(5) CHARACTER SET latin1 NOT NULL, id INT, "
            "g INT GENERATED ALWAYS AS (id + 1) VIRTUAL, CONSTRAINT one FOREIGN KEY (id) REFERENCES shop.p (id) "
            "ON UPDATE CASCADE ON DELETE SET NULL)",
            "CREATE VIEW shop.v AS SELECT 1 AS one",
        ):
            cursor.execute(statement)
    child, parent = TableName("shop", "c"), TableName("shop", "p")
    with connect(ServerUri.parse(server_pair.source_uri), "source") as connection:
        assert [table.name for table in user_tables(connection, TableFilter.parse(["shop.*"]))] == [child, parent]
        assert user_tables(connection, TableFilter.parse(["shop.c"]))[0].engine == "InnoDB"
        assert foreign_key_edges(connection) == [(child, parent), (parent, parent)]
        keys = {key.name: key for key in foreign_keys(connection)}
        assert (keys["one"].on_update, keys["one"].on_delete, keys["one"].cascades) == ("CASCADE", "SET NULL", True)
        assert keys["o`dd"].cascades is False
        found = columns(connection, [child, TableName("shop", "none")])
    assert list(found) == [child]
    assert [column.name for column in found[child]] == ["a", "b", "id", "g"]
    assert [column.generated for column in found[child]] == ["", "", "", "VIRTUAL"]
    assert found[child][0].type.endswith("unsigned")
    assert (found[child][1].charset, found[child][1].nullable) == ("latin1", False)
