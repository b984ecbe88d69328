"""Local servers: they start, keep their port and data over restarts and crashes, freeze, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import pymysql
import pytest

from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.sandbox.accounts import SINK_USER, SOURCE_USER
from hedgerow.sandbox.guard import start_time
from hedgerow.sandbox.process import SandboxError, running_children, wait_until
from hedgerow.sandbox.servers import Option, Server, ServerPair, copy_template, render_options
from tests.conftest import StartPair


def scalar(server: Server, statement: str) -> object:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        row = cursor.fetchone()
        assert row is not None
        return row[0]


def test_a_pair_is_a_source_and_a_sink_with_uris_that_hold_no_secret(server_pair: ServerPair) -> None:
    assert scalar(server_pair.source, "SELECT @@log_bin") == 1
    assert scalar(server_pair.source, "SELECT @@binlog_format") == "ROW"
    assert scalar(server_pair.source, "SELECT @@server_id") != scalar(server_pair.sink, "SELECT @@server_id")
    for uri, server, user in (
        (server_pair.source_uri, server_pair.source, SOURCE_USER),
        (server_pair.sink_uri, server_pair.sink, SINK_USER),
    ):
        parsed = ServerUri.parse(uri)
        assert (parsed.host, parsed.port, parsed.user) == ("127.0.0.1", server.port, user)
        assert parsed.password() == server.account(user).password
        assert parsed.password() not in uri
        assert parsed.password() not in repr(server.account(user))


def test_mysql_servers_have_gtids_and_uuids_of_their_own(server_pair: ServerPair) -> None:
    if server_pair.flavour != "mysql":
        pytest.skip("MariaDB has no server_uuid")
    assert scalar(server_pair.source, "SELECT @@gtid_mode") == "ON"
    assert scalar(server_pair.source, "SELECT @@server_uuid") != scalar(server_pair.sink, "SELECT @@server_uuid")


def test_servers_share_no_directory(server_pair: ServerPair) -> None:
    for variable in ("@@tmpdir", "@@datadir", "@@socket"):
        for server in (server_pair.source, server_pair.sink):
            assert str(scalar(server, f"SELECT {variable}")).startswith(f"{server.directory}/")


def test_starting_leaves_nothing_in_the_binlog(start_pair: StartPair, flavour: Flavour) -> None:
    pair = start_pair(flavour)
    variable = "@@gtid_executed" if flavour == "mysql" else "@@gtid_binlog_pos"
    assert scalar(pair.source, f"SELECT {variable}") == ""


def test_the_source_account_may_only_read(server_pair: ServerPair) -> None:
    with server_pair.source.account(SOURCE_USER).connect() as connection, connection.cursor() as cursor:
        cursor.execute("SHOW BINARY LOGS")
        assert cursor.fetchall()
        with pytest.raises(pymysql.MySQLError):
            cursor.execute("CREATE DATABASE forbidden")


def test_the_sink_account_may_send_binlog_events_and_change_schemas(server_pair: ServerPair) -> None:
    with server_pair.sink.account(SINK_USER).connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE hedgerow")
        cursor.execute("CREATE TABLE hedgerow.fence (a INT PRIMARY KEY)")
        cursor.execute("CREATE DATABASE shop")
        cursor.execute("CREATE TABLE shop.t (a INT PRIMARY KEY)")
        cursor.execute("ALTER TABLE shop.t ADD COLUMN b INT")
        with pytest.raises(pymysql.MySQLError) as refused:
            cursor.execute("BINLOG 'AAAA'")
        # Not a valid event: but the account got as far as its contents. 1227 is "access denied".
        assert refused.value.args[0] != 1227
    with server_pair.source.account(SOURCE_USER).connect() as connection, connection.cursor() as cursor:
        with pytest.raises(pymysql.MySQLError) as refused:
            cursor.execute("BINLOG 'AAAA'")
        assert refused.value.args[0] == 1227


def test_restart_and_crash_keep_port_and_data(start_pair: StartPair, flavour: Flavour) -> None:
    source = start_pair(flavour).source
    with source.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE d")
        cursor.execute("CREATE TABLE d.t (a INT PRIMARY KEY)")
        cursor.execute("INSERT INTO d.t VALUES (1)")
    port, first = source.port, source.pid
    source.restart()
    assert source.pid != first
    with source.connect() as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO d.t VALUES (2)")
    source.kill()
    with pytest.raises(pymysql.MySQLError):
        source.connect()
    source.start()
    assert source.port == port
    assert scalar(source, "SELECT COUNT(*) FROM d.t") == 2


def test_options_override_what_a_source_has(start_pair: StartPair, flavour: Flavour) -> None:
    options: dict[str, Option] = {"binlog_row_image": "MINIMAL", "sync_binlog": 1}
    pair = start_pair(flavour, source_options=options, sink_options={"log_bin": False, "gtid_mode": None})
    assert scalar(pair.source, "SELECT @@binlog_row_image") == "MINIMAL"
    assert scalar(pair.source, "SELECT @@sync_binlog") == 1
    assert scalar(pair.sink, "SELECT @@log_bin") == 0


def test_a_frozen_server_does_not_answer_until_it_is_thawed(start_pair: StartPair, flavour: Flavour) -> None:
    source = start_pair(flavour).source
    source.freeze()
    assert source.running
    with pytest.raises(pymysql.MySQLError):
        source.connect(connect_timeout=1, read_timeout=1)
    source.thaw()
    assert scalar(source, "SELECT 1") == 1
    source.freeze()  # the fixture closes it frozen


def test_a_server_that_does_not_start_says_why_and_leaves_nothing(flavour: Flavour) -> None:
    before = running_children()
    server = Server(flavour, "broken", {"no_such_option": 1})
    with pytest.raises(SandboxError, match=r"(?s)ended with .*no.such.option"), server:
        pass
    assert running_children() == before
    assert not server.directory.exists()


def test_nothing_survives_a_parent_that_is_killed(flavour: Flavour, tmp_path: Path) -> None:
    program = """
        import sys, time
        from hedgerow.sandbox.servers import Server
        server = Server(sys.argv[1], "orphan")
        server.start()
        print(server.pid, server.directory, flush=True)
        time.sleep(120)
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), flavour], stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        pid, directory = parent.stdout.readline().split()
        started = start_time(int(pid))
        assert started
        parent.send_signal(signal.SIGKILL)
    assert wait_until(lambda: start_time(int(pid)) != started, 10)
    assert wait_until(lambda: not os.path.exists(directory), 10)


class SlowProgram:
    """As of a server, whose data directory takes as long to make as it takes another to begin with the same."""

    version = "1.2.3"
    key = "slow"
    options: Mapping[str, str] = {}

    def __init__(self) -> None:
        self.initialised = 0
        self.another = threading.Event()

    def initialise(self, datadir: Path, log: Path) -> None:
        self.initialised += 1
        if self.initialised > 1:
            self.another.set()
        self.another.wait(1.0)
        datadir.mkdir()
        (datadir / "table").write_text("t")

    def command(self, options: Sequence[str]) -> list[str]:
        raise NotImplementedError


def test_a_data_directory_is_made_once_and_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    program = SlowProgram()
    copies = [tmp_path / name for name in ("source", "sink", "later")]
    both = [threading.Thread(target=copy_template, args=(program, "mariadb", copy)) for copy in copies[:2]]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    copy_template(program, "mariadb", copies[2])
    assert [(copy / "table").read_text() for copy in copies] == ["t", "t", "t"]
    assert program.initialised == 1


def test_options_are_rendered_as_mysql_reads_them() -> None:
    rendered = render_options({"a_b": 1, "bare": True, "log_bin": False, "left_out": None, "text": ""})
    assert rendered == ["--a-b=1", "--bare", "--skip-log-bin", "--text="]
