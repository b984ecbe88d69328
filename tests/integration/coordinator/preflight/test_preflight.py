"""Preflight on real servers of both flavours: each thing that can be wrong is found, with the statement that fixes it.

Where a fix is a statement, the test executes it and the problem is gone.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hedgerow.common.binlog.position import Position
from hedgerow.common.ledger.ownership import raise_fence
from hedgerow.common.ledger.progress import insert_progress
from hedgerow.common.ledger.schema import ensure_schema
from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.accounts import SINK_USER
from hedgerow.sandbox.flavours import FLAVOURS, flavour_available
from hedgerow.sandbox.ports import free_port
from hedgerow.sandbox.servers import Server, ServerPair
from tests.conftest import StartPair
from tests.integration.coordinator.preflight.checks import check, fix, load, only, problems, run, setting


def test_a_good_pair_passes(server_pair: ServerPair) -> None:
    load(server_pair)
    resolved = check(server_pair)
    assert resolved.flavour == server_pair.flavour
    assert resolved.start_position.file
    assert resolved.start_position.source_id == resolved.source.source_id
    assert resolved.source.source_id != resolved.sink.source_id
    assert resolved.warnings == ()
    assert check(server_pair, start="").start_position == resolved.start_position
    assert check(server_pair, start="earliest").start_position == Position(source_id=resolved.source.source_id)


def test_a_source_that_does_not_log_what_it_replicates(start_pair: StartPair, flavour: Flavour) -> None:
    pair = start_pair(flavour, {"log_slave_updates": False} if flavour == "mariadb" else {"log_replica_updates": False})
    load(pair)
    check(pair)  # it replicates nothing
    if flavour == "mysql":
        to = "SOURCE_HOST = '127.0.0.1', SOURCE_PORT = 1, SOURCE_USER = 'nobody'"
        run(pair.source, f"CHANGE REPLICATION SOURCE TO {to}")
        check(pair)  # nor yet
        run(pair.source, "START REPLICA")
    else:  # the account may not ask whether it replicates (REPLICA MONITOR), and sees that it has
        run(pair.source, "SET GLOBAL gtid_slave_pos = '7-7-7'")
    problem = only(problems(pair))
    assert "_updates is OFF" in problem.found
    assert "_updates = ON" in problem.fix
    if flavour == "mysql":
        run(pair.source, "STOP REPLICA")
        check(pair)
    else:
        run(pair.source, "GRANT REPLICA MONITOR ON *.* TO hedgerow_source@127.0.0.1")
        check(pair)


def test_it_changes_nothing(server_pair: ServerPair) -> None:
    load(server_pair)
    check(server_pair)
    with server_pair.sink.connect() as connection, connection.cursor() as cursor:
        assert cursor.execute("SHOW DATABASES LIKE 'hedgerow'") == 0


def test_a_source_that_is_itself_a_sink(server_pair: ServerPair) -> None:
    load(server_pair)
    sink = check(server_pair).sink.source_id
    start = Position(file="binlog.000001", offset=4, source_id=sink)
    with server_pair.source.connect() as connection:
        ensure_schema(connection)
        for uid, table, origin in (("opposite", "shop.wide", sink), ("first", "shop.other", "elsewhere")):
            raise_fence(connection, uid, 1, "n")
            insert_progress(connection, uid, 1, [table], replace(start, source_id=origin))
            connection.commit()
    problem = only(problems(server_pair))
    assert "itself the sink of changefeed first, from server elsewhere" in problem.found
    run(server_pair.source, "DELETE FROM hedgerow.progress WHERE changefeed_uid = 'first'")
    check(server_pair)


def test_a_sink_that_cannot_log_rows(server_pair: ServerPair) -> None:
    load(server_pair)
    with setting(server_pair.sink, "binlog_format", "STATEMENT"):
        problem = only(problems(server_pair))
    assert "binlog_format is STATEMENT" in problem.found
    assert "SET GLOBAL binlog_format = 'ROW';" in problem.fix


def test_views_triggers_and_routines_are_warned_of(server_pair: ServerPair) -> None:
    load(server_pair)
    sink, user = server_pair.sink, f"'{SINK_USER}'@'127.0.0.1'"
    wanted = (
        "SET USER" if server_pair.flavour == "mariadb" else "SET_ANY_DEFINER, ALLOW_NONEXISTENT_DEFINER, SYSTEM_USER"
    )
    assert check(server_pair).warnings == ()
    run(sink, f"REVOKE {wanted} ON *.* FROM {user}")
    with setting(sink, "log_bin_trust_function_creators", "OFF"):
        definers, creators = check(server_pair).warnings
    assert definers.fix == f"GRANT {wanted} ON *.* TO {user};"
    assert "1419" in creators.found
    run(sink, definers.fix)
    assert check(server_pair).warnings == ()


@pytest.mark.parametrize(
    ("start", "found"),
    [
        ("yesterday", "start 'yesterday'"),
        ("file:binlog.999999:4", "binlog.999999"),
        ("file:binlog.000001:99999999", "99999999"),
        ("gtid:nonsense", "nonsense"),
    ],
)
def test_bad_starts(server_pair: ServerPair, start: str, found: str) -> None:
    load(server_pair)
    problem = only(problems(server_pair, start=start))
    assert found in problem.found
    assert "--start now" in problem.fix


def test_binlog_format_and_sink_settings(server_pair: ServerPair) -> None:
    load(server_pair)
    with setting(server_pair.source, "binlog_format", "STATEMENT"):
        problem = only(problems(server_pair))
        assert "binlog_format is STATEMENT" in problem.found
        fix(server_pair.source, problem)
        check(server_pair)
    with setting(
        server_pair.sink, "slave_exec_mode" if server_pair.flavour == "mariadb" else "replica_exec_mode", "IDEMPOTENT"
    ):
        problem = only(problems(server_pair))
        assert "exec_mode is IDEMPOTENT" in problem.found
        fix(server_pair.sink, problem)
        check(server_pair)
    with setting(server_pair.sink, "read_only", "ON"):
        problem = only(problems(server_pair))
        assert "read_only is ON" in problem.found
        fix(server_pair.sink, problem)
        check(server_pair)


def test_missing_grants(server_pair: ServerPair) -> None:
    load(server_pair)
    uris = []
    for server in (server_pair.source, server_pair.sink):
        run(server, "DROP USER IF EXISTS 'bare'@'127.0.0.1'", "CREATE USER 'bare'@'127.0.0.1'")
        run(server, "GRANT SELECT ON shop.* TO 'bare'@'127.0.0.1'")
        uris.append(f"mysql://bare@127.0.0.1:{server.port}/")
    source, sink = uris
    found = problems(server_pair, source=source, sink=sink)
    text = "\n".join(map(str, found))
    assert "lacks REPLICATION SLAVE: it cannot read the binlog" in text
    assert ("lacks BINLOG REPLAY" if server_pair.flavour == "mariadb" else "lacks REPLICATION_APPLIER") in text
    assert "on schema hedgerow" in text
    assert "lacks INSERT, CREATE, DROP, ALTER, INDEX, REFERENCES on schema shop" in text
    assert len(found) == 5
    for problem in found:
        fix(server_pair.source if problem.found.startswith("on the source") else server_pair.sink, problem)
    check(server_pair, source=source, sink=sink)
    for server in (server_pair.source, server_pair.sink):
        run(server, "DROP USER 'bare'@'127.0.0.1'")


def test_grants_by_role(server_pair: ServerPair) -> None:
    load(server_pair)
    sink = server_pair.sink
    mariadb = server_pair.flavour == "mariadb"
    run(sink, "CREATE ROLE applier", "GRANT ALL ON *.* TO applier", "CREATE USER 'by_role'@'127.0.0.1'")
    run(sink, "GRANT applier TO 'by_role'@'127.0.0.1'")
    uri = f"mysql://by_role@127.0.0.1:{sink.port}/"
    assert len(problems(server_pair, sink=uri)) >= 2
    run(sink, f"SET DEFAULT ROLE applier {'FOR' if mariadb else 'TO'} 'by_role'@'127.0.0.1'")
    check(server_pair, sink=uri)
    run(sink, "DROP USER 'by_role'@'127.0.0.1'", "DROP ROLE applier")


def test_unreachable_both_and_wrong_password(server_pair: ServerPair, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("not-the-pa55word")
    nowhere = f"mysql://u@127.0.0.1:{free_port()}/"
    wrong = replace(server_pair.sink.root, password_file=secret).uri
    source, sink = problems(server_pair, source=nowhere, sink=wrong)
    assert "refuses connections" in source.found
    assert "denies access to user 'root'" in sink.found
    assert str(secret) in sink.found
    assert "not-the-pa55word" not in str(sink)
    missing = only(problems(server_pair, source=f"{nowhere}?password_file=/nowhere")[:1])
    assert "/nowhere" in missing.found


def test_the_same_server(server_pair: ServerPair) -> None:
    load(server_pair)
    problem = only(problems(server_pair, sink=f"mysql://{server_pair.source_uri[8:].replace('_source', '_sink')}"))
    assert "are the same server" in problem.found


def test_settings_that_need_a_restart(start_pair: StartPair, flavour: str) -> None:
    pair = start_pair(
        "mariadb" if flavour == "mariadb" else "mysql",
        {"log_bin": False, "lower_case_table_names": 0},
        {"max_allowed_packet": "1M", "binlog_format": None},
    )
    load(pair)
    problem = only(problems(pair))
    assert "log_bin is OFF" in problem.found
    assert "log_bin = binlog" in problem.fix
    pair.source.options = {"binlog_ignore_db": "other", "binlog_row_image": "NOBLOB"}
    pair.source.restart()
    assert "binlog_ignore_db is other" in only(problems(pair)).found
    pair.source.options = {"binlog_row_image": "MINIMAL"}
    if flavour == "mysql":
        pair.source.options["gtid_mode"] = "OFF"
    pair.source.restart()
    assert "max_allowed_packet" in only(list(check(pair).warnings)).found
    run(pair.source, "FLUSH BINARY LOGS")
    with pair.source.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SHOW BINARY LOGS")
        last = cursor.fetchall()[-1][0]
    run(pair.source, f"PURGE BINARY LOGS TO '{last}'")
    assert "purged" in only(problems(pair, start="file:binlog.000001:4")).found


def test_flavours_must_be_alike() -> None:
    if not all(flavour_available(each).available for each in FLAVOURS):
        pytest.skip("needs both flavours")
    servers: list[Server] = []
    try:
        for each in FLAVOURS:
            servers.append(Server(each, "alone"))
            servers[-1].start()
        pair = ServerPair(*servers)
        load(pair)
        found = [problem.found for problem in problems(pair)]
        assert any("across flavours" in each for each in found)
    finally:
        for server in servers:
            server.close()
