"""DDL is executed once: it dies after each step and is called again."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from hedgerow.common.binlog.position import Position
from hedgerow.common.errors import DdlFailed, Fenced, SinkUnavailable
from hedgerow.common.ledger.ownership import raise_fence
from hedgerow.common.ledger.progress import claim_dispatchers, insert_progress, list_progress
from hedgerow.common.ledger.schema import ensure_schema
from hedgerow.common.mysql.connect import connect
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.sink.api import NotFlushed
from hedgerow.dispatcher.sink.ddl import execute as ddl
from hedgerow.dispatcher.sink.kill_switch import KillSwitch
from hedgerow.dispatcher.sink.timeouts import PEER_TIMEOUT
from hedgerow.dispatcher.sink.token import FencingToken
from hedgerow.sandbox.accounts import SINK_USER
from hedgerow.sandbox.servers import ServerPair
from tests.integration.dispatcher.sink.harness import run


class Died(BaseException):
    """The process ended here."""


class Ddl:
    def __init__(self, pair: ServerPair) -> None:
        self.pair, self.uri, self.uid, self.offset = pair, ServerUri.parse(pair.sink_uri), uuid4().hex, 4
        run(pair.sink.connect(), "CREATE DATABASE dd")
        with connect(self.uri, "sink") as connection:
            ensure_schema(connection)
            raise_fence(connection, self.uid, 5, "n")
            insert_progress(connection, self.uid, 5, ["*"], self.position)
            claim_dispatchers(connection, self.uid, 5, {"*": 1})

    @property
    def position(self) -> Position:
        return Position(file="b.000001", offset=self.offset, source_id="1")

    def execute(
        self,
        statement: str,
        *,
        epoch: int = 5,
        generation: int = 1,
        cut: KillSwitch | None = None,
        gtid: str = "",
        gtid_set: str = "",
        flushed: dict[str, int] | None = None,
        **tables: str,
    ) -> None:
        """`touches`, `creates` and `drops` name tables of schema dd, or with `*` all of it."""
        named: dict[str, Any] = {
            kind: [pb.TableName(schema="dd", table=name.strip("*")) for name in names.split()]
            for kind, names in tables.items()
        }
        position = replace(self.position, gtid_set=gtid_set)
        message = pb.Ddl(gtid=gtid, position=position.write(), statement=statement, default_schema="dd", **named)
        session: dict[str, int | float | str] = {"sql_mode": 0, "timestamp": 1_700_000_000.5, "time_zone": "+02:00"}
        token = FencingToken(self.uid, epoch)
        ddl.execute_ddl(
            self.uri, self.pair.flavour, token, generation, message, position, session, cut=cut, flushed=flushed
        )

    def follow(self, error: Exception, state: str) -> None:
        """What the message says to execute, as the changefeed's own account."""
        (statement,) = re.findall(
            rf"UPDATE hedgerow\.ddl SET state = '{state}' WHERE .*? AND ddl_key = '[^']*'", str(error)
        )
        with self.pair.sink.account(SINK_USER).connect() as connection, connection.cursor() as cursor:
            assert cursor.execute(statement) == 1

    def progress(self) -> dict[str, int]:
        with connect(self.uri, "sink") as connection:
            return {row.dispatcher: row.position.offset for row in list_progress(connection, self.uid)}

    def query(self, statement: str) -> Any:
        with self.pair.sink.connect() as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()


@pytest.fixture
def sink(server_pair: ServerPair) -> Ddl:
    return Ddl(server_pair)


def dying(monkeypatch: pytest.MonkeyPatch, step: str, *, after: bool) -> Callable[[], None]:
    original = getattr(ddl._Execution, step)

    def died(self: Any, *arguments: Any) -> None:
        if after:
            original(self, *arguments)
        raise Died

    monkeypatch.setattr(ddl._Execution, step, died)
    return lambda: monkeypatch.setattr(ddl._Execution, step, original)


@pytest.mark.parametrize(
    ("step", "after"), [("_begin", False), ("_execute", False), ("_finish", False), ("_finish", True)]
)
def test_each_statement_happens_once_wherever_it_dies(
    sink: Ddl, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    cases: list[tuple[str, dict[str, Any]]] = [
        ("CREATE TABLE a (id INT, at TIMESTAMP DEFAULT CURRENT_TIMESTAMP)", {"touches": "a", "creates": "a"}),
        ("ALTER TABLE a ADD x INT DEFAULT 3", {"touches": "a"}),
        ("CREATE TABLE b LIKE a", {"touches": "b", "creates": "b"}),
        ("RENAME TABLE a TO c, b TO a, c TO b", {"touches": "a b"}),
        ("TRUNCATE TABLE b", {"touches": "b"}),
        ("RENAME TABLE a TO c", {"touches": "a", "creates": "c", "drops": "a"}),
        ("DROP TABLE b", {"touches": "b", "drops": "b"}),
    ]
    for statement, tables in cases:
        if statement.startswith("RENAME TABLE a TO c, b"):
            run(sink.pair.sink.connect(), "INSERT INTO dd.a (id) VALUES (1)")
        sink.offset += 10
        live = dying(monkeypatch, step, after=after)
        with pytest.raises(Died):
            sink.execute(statement, **tables)
        live()
        sink.execute(statement, **tables)
        sink.execute(statement, **tables)
        assert sink.progress()["*"] == sink.offset
        if statement.startswith("RENAME TABLE a TO c, b"):
            assert sink.query("SELECT id FROM dd.b") == ((1,),)
    assert sink.query("SHOW TABLES FROM dd") == (("c",),)
    assert sink.progress() == {"*": 74, "dd.c": 64}


def test_nothing_is_executed_that_touches_others_than_were_flushed(sink: Ddl) -> None:
    sink.offset += 10
    sink.execute("CREATE TABLE a (id INT)", touches="a", creates="a", flushed={})
    sink.offset += 10
    with connect(sink.uri, "sink") as connection:
        claim_dispatchers(connection, sink.uid, 5, {"dd.a": 3})
    for flushed in ({}, {"dd.a": 2}, {"dd.a": 3, "dd.b": 1}):
        with pytest.raises(NotFlushed):
            sink.execute("ALTER TABLE a ADD x INT", touches="a", flushed=flushed)
        with pytest.raises(NotFlushed):
            sink.execute("DROP DATABASE dd", touches="*", drops="*", flushed=flushed)
    assert sink.progress() == {"*": 14, "dd.a": 14}
    assert sink.query("SELECT state FROM hedgerow.ddl") == (("done",),)
    sink.execute("ALTER TABLE a ADD x INT", touches="a", flushed={"dd.a": 3})
    sink.offset += 10
    sink.execute("DROP DATABASE dd", touches="*", drops="*", flushed={"dd.a": 3})
    assert sink.progress() == {"*": 34}


@pytest.mark.parametrize(("step", "after"), [("_execute", False), ("_finish", False), ("_finish", True)])
def test_views_and_programs_happen_once_wherever_it_dies(
    sink: Ddl, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    run(sink.pair.sink.connect(), "CREATE TABLE dd.a (id INT)", "CREATE PROCEDURE dd.other() SELECT 0")
    cases = [
        ("CREATE VIEW v AS SELECT id FROM a", "v"),
        ("DROP VIEW v", "v"),
        ("CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW SET NEW.id = 1", "a"),
        ("DROP TRIGGER t", ""),
        ("CREATE PROCEDURE p() SELECT 1", ""),
        ("DROP PROCEDURE p", ""),
        ("CREATE FUNCTION f() RETURNS INT DETERMINISTIC NO SQL RETURN 1", ""),
    ]
    for statement, touches in cases:
        sink.offset += 10
        live = dying(monkeypatch, step, after=after)
        with pytest.raises(Died):
            sink.execute(statement, touches=touches)
        live()
        sink.execute(statement, touches=touches)
        assert sink.progress()["*"] == sink.offset
    routines = "SELECT routine_name FROM information_schema.routines WHERE routine_schema = 'dd' ORDER BY 1"
    assert sink.query(routines) == (("f",), ("other",))


def test_a_routine_that_was_there_before_is_not_taken_for_ours(sink: Ddl, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its session ends before the statement: what is there then is somebody else's."""
    run(sink.pair.sink.connect(), "CREATE PROCEDURE dd.p() SELECT 'theirs'")
    sink.offset = 10
    live = dying(monkeypatch, "_execute", after=False)
    with pytest.raises(Died):
        sink.execute("CREATE PROCEDURE p() SELECT 'ours'")
    live()
    with pytest.raises(DdlFailed, match="1304"):
        sink.execute("CREATE PROCEDURE p() SELECT 'ours'")


def test_context_is_the_sources(sink: Ddl) -> None:
    run(sink.pair.sink.connect(), "CREATE TABLE dd.a (id INT)", "INSERT INTO dd.a VALUES (1)")
    sink.offset = 10
    sink.execute("ALTER TABLE a ADD at DATETIME DEFAULT CURRENT_TIMESTAMP", touches="a")
    assert str(sink.query("SELECT at FROM dd.a")[0][0]) == "2023-11-15 00:13:20"  # 1700000000 in +02:00


def test_a_fenced_writer_executes_nothing(sink: Ddl) -> None:
    sink.offset = 10
    with pytest.raises(Fenced, match="generation 2"):
        sink.execute("CREATE TABLE a (id INT)", generation=2, creates="a")
    with pytest.raises(Fenced, match="epoch 4"):
        sink.execute("CREATE TABLE a (id INT)", epoch=4, creates="a")
    assert sink.query("SHOW TABLES FROM dd") == ()


def test_a_frozen_executor_is_killed(sink: Ddl, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds the lock and has written `started`; then its statement never comes."""
    sink.offset = 10
    frozen: list[ddl._Execution] = []
    monkeypatch.setattr(ddl._Execution, "close", lambda self: frozen.append(self))
    live = dying(monkeypatch, "_execute", after=False)
    with pytest.raises(Died):
        sink.execute("CREATE TABLE a (id INT)", creates="a")
    live()
    monkeypatch.undo()
    sink.execute("CREATE TABLE a (id INT)", creates="a")
    with pytest.raises(Exception, match=r"Lost connection|gone away"):
        frozen[0]._executor.ping(reconnect=False)
    frozen[0].close()
    assert sink.progress() == {"*": 10, "dd.a": 10}


def test_a_failure_names_the_statement_and_the_servers_words(sink: Ddl) -> None:
    sink.offset = 10
    with pytest.raises(DdlFailed, match=r"1146.*nope.*ALTER TABLE nope ADD x INT\. Change there"):
        sink.execute("ALTER TABLE nope ADD x INT", touches="nope")
    assert sink.progress() == {"*": 4}


def test_a_cut_ends_the_connection_and_the_statement_happens_once(sink: Ddl) -> None:
    """It waits for a metadata lock when it is cut; what the server then does with it is judged by the next attempt."""
    run(sink.pair.sink.connect(), "CREATE TABLE dd.a (id INT)", "INSERT INTO dd.a VALUES (1)")
    sink.offset = 10
    cut = KillSwitch()
    with sink.pair.sink.connect() as other:
        other.query("BEGIN")
        other.query("SELECT * FROM dd.a FOR UPDATE")
        failed: list[BaseException] = []

        def execute() -> None:
            try:
                sink.execute("ALTER TABLE a ADD x INT", touches="a", cut=cut)
            except SinkUnavailable as error:
                failed.append(error)

        thread = threading.Thread(target=execute)
        thread.start()
        deadline = time.monotonic() + 10
        while not sink.query("SELECT 1 FROM information_schema.processlist WHERE state LIKE '%metadata lock%'"):
            assert time.monotonic() < deadline
        cut.cut()
        thread.join(1.0)
        assert not thread.is_alive()
        assert failed
        other.rollback()
    sink.execute("ALTER TABLE a ADD x INT", touches="a")
    assert sink.query("SELECT * FROM dd.a") == ((1, None),)
    with pytest.raises(SinkUnavailable):
        sink.execute("DROP TABLE a", drops="a", cut=cut)
    assert sink.query("SELECT * FROM dd.a") == ((1, None),)


def test_what_was_refused_and_fixed_is_executed(sink: Ddl) -> None:
    """The fix rebuilds the table: it looks as if the statement had changed it."""
    run(sink.pair.sink.connect(), "CREATE TABLE dd.a (id INT, y INT)", "INSERT INTO dd.a VALUES (1, 1), (1, 2)")
    sink.offset = 10
    for _ in range(2):
        with pytest.raises(DdlFailed, match="1062"):
            sink.execute("ALTER TABLE a ADD x INT DEFAULT 7, ADD UNIQUE (id)", touches="a")
    run(sink.pair.sink.connect(), "DELETE FROM dd.a WHERE y = 2", "ALTER TABLE dd.a COMMENT = 'healed', FORCE")
    sink.execute("ALTER TABLE a ADD x INT DEFAULT 7, ADD UNIQUE (id)", touches="a")
    assert sink.query("SELECT * FROM dd.a") == ((1, 1, 7),)
    assert sink.progress() == {"*": 10}


def test_what_was_refused_and_is_done_by_hand_is_not_executed(sink: Ddl) -> None:
    sink.offset = 10
    with pytest.raises(DdlFailed) as failed:
        sink.execute("ALTER TABLE a ADD x INT", touches="a")
    run(sink.pair.sink.connect(), "CREATE TABLE dd.a (id INT, x INT)")
    sink.follow(failed.value, "done")
    sink.execute("ALTER TABLE a ADD x INT", touches="a")
    assert sink.progress() == {"*": 10}


def test_a_table_without_transactions_stops_it_until_it_is_fixed(sink: Ddl) -> None:
    sink.offset = 10
    for _ in range(2):
        with pytest.raises(DdlFailed, match=r"dd\.a has ENGINE=MyISAM.*ALTER TABLE `dd`\.`a` ENGINE=InnoDB"):
            sink.execute("CREATE TABLE a (id INT) ENGINE=MyISAM", touches="a", creates="a")
    assert sink.progress() == {"*": 4}
    run(sink.pair.sink.connect(), "ALTER TABLE dd.a ENGINE=InnoDB")
    sink.execute("CREATE TABLE a (id INT) ENGINE=MyISAM", touches="a", creates="a")
    sink.offset = 20
    with pytest.raises(DdlFailed, match=r"dd\.a has ENGINE=MyISAM"):
        sink.execute("ALTER TABLE a ENGINE=MyISAM", touches="a")
    run(sink.pair.sink.connect(), "ALTER TABLE dd.a ENGINE=InnoDB")
    sink.execute("ALTER TABLE a ENGINE=MyISAM", touches="a")
    assert sink.progress() == {"*": 20, "dd.a": 10}


def test_a_table_whose_statement_names_no_engine_has_transactions(sink: Ddl) -> None:
    (usual,) = sink.query("SELECT @@GLOBAL.default_storage_engine")[0]
    run(sink.pair.sink.connect(), "SET GLOBAL default_storage_engine = MyISAM")
    try:
        sink.offset = 10
        sink.execute("CREATE TABLE a (id INT)", touches="a", creates="a")
    finally:
        run(sink.pair.sink.connect(), f"SET GLOBAL default_storage_engine = {usual}")
    assert sink.query("SELECT engine FROM information_schema.tables WHERE table_schema = 'dd'") == (("InnoDB",),)


def test_its_connections_notice_a_peer_that_is_gone(sink: Ddl, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[tuple[int, int]] = []
    original = ddl._Execution._execute

    def looks(self: Any, *arguments: Any) -> None:
        for connection in self._connections:
            raw: socket.socket = vars(connection)["_sock"]
            found.append(
                (
                    raw.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                    raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
                )
            )
        original(self, *arguments)

    monkeypatch.setattr(ddl._Execution, "_execute", looks)
    sink.offset = 10
    sink.execute("CREATE TABLE a (id INT)", touches="a", creates="a")
    assert found == [(1, PEER_TIMEOUT * 1000)] * 2


def test_the_schema_dispatcher_never_goes_back(sink: Ddl) -> None:
    """Its lane may have been ahead of this statement in some of the source's GTIDs."""
    server = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
    if sink.pair.flavour == "mysql":
        before, gtid, at, after = f"{server}:1-5:8-10", f"{server}:6", f"{server}:1-6", f"{server}:1-6:8-10"
    else:
        before, gtid, at, after = "0-1-5,1-1-9", "0-1-6", "0-1-6,1-1-3", "0-1-6,1-1-9"
    run(sink.pair.sink.connect(), f"UPDATE hedgerow.progress SET gtid_set = '{before}', binlog_pos = 100")
    sink.offset = 60
    sink.execute("CREATE TABLE a (id INT)", touches="a", creates="a", gtid=gtid, gtid_set=at)
    rows = sink.query("SELECT dispatcher, gtid_set, binlog_pos FROM hedgerow.progress ORDER BY dispatcher")
    assert rows == (("*", after, 100), ("dd.a", at, 60))


def test_a_schema_that_is_dropped_leaves_nothing(sink: Ddl) -> None:
    """Another schema whose name begins alike keeps what it has, and so does another changefeed, though two of one table
    are not let in any more."""
    with connect(sink.uri, "sink") as connection:
        for uid, keys in ((sink.uid, ["dd.a", "dda.a"]), ("other", ["dd.b"])):
            raise_fence(connection, uid, 5, "n")
            insert_progress(connection, uid, 5, keys, sink.position)
            run(sink.pair.sink.connect(), "UPDATE hedgerow.progress SET dispatcher = 'dd.a' WHERE dispatcher = 'dd.b'")
            for key in ("dd.a" if key == "dd.b" else key for key in keys):
                run(sink.pair.sink.connect(), f"INSERT INTO hedgerow.xa VALUES ('{uid}', 'x', '{key}', 0, '', '')")
        sink.offset = 10
        sink.execute("DROP DATABASE dd", touches="*", drops="*")
        assert {row.dispatcher for row in list_progress(connection, sink.uid)} == {"*", "dda.a"}
        assert {row.dispatcher for row in list_progress(connection, "other")} == {"dd.a"}
    left = sink.query("SELECT changefeed_uid, dispatcher FROM hedgerow.xa")
    assert set(left) == {(sink.uid, "dda.a"), ("other", "dd.a")}


def test_what_was_begun_and_is_passed_by_leaves_no_entry(sink: Ddl, monkeypatch: pytest.MonkeyPatch) -> None:
    """A filter that changed meanwhile leaves it out: its entry would count as a statement under way for ever."""
    run(sink.pair.sink.connect(), "CREATE TABLE dd.a (id INT)")
    sink.offset = 10
    live = dying(monkeypatch, "_execute", after=False)
    with pytest.raises(Died):
        sink.execute("ALTER TABLE a ADD x INT", touches="a")
    live()
    sink.offset = 20
    sink.execute("CREATE TABLE b (id INT)", touches="b", creates="b")
    assert sink.query("SELECT ddl_key, state FROM hedgerow.ddl") == (("b.000001:20", "done"),)
