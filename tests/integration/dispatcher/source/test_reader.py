"""The reader on real servers: starts, restarts, refusals, compression, heartbeats; mysql-replication as the oracle."""

from __future__ import annotations

import os
import threading
from collections import Counter
from dataclasses import replace

import pytest
from pymysqlreplication import BinLogStreamReader

from hedgerow.common.binlog import events as e
from hedgerow.common.binlog.gtid import gtid_set
from hedgerow.common.binlog.position import Position
from hedgerow.common.errors import BinlogCorrupt, BinlogPurged, BinlogReset, HistoryDiverged, SourceUnavailable
from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.dispatcher.source import transactions as t
from hedgerow.dispatcher.source.reader import Reader
from hedgerow.sandbox.process import wait_until
from hedgerow.sandbox.servers import Option, Server, ServerPair
from tests.conftest import StartPair
from tests.integration.dispatcher.source.corruptor import Corruptor
from tests.integration.dispatcher.source.reading import SECONDS, SERVER_ID, following, resolved, run

COMPRESSED: dict[Flavour, dict[str, Option]] = {
    "mysql": {"binlog_transaction_compression": "ON"},
    "mariadb": {"log_bin_compress": "ON", "log_bin_compress_min_len": 10},
}


def prepare(server: Server) -> None:
    run(server, "CREATE DATABASE r", "CREATE TABLE r.a (id INT PRIMARY KEY AUTO_INCREMENT, b TEXT)")


def insert(server: Server, count: int) -> None:
    run(server, *["INSERT INTO r.a (b) VALUES (REPEAT('x', 500))"] * count)


def executed(server: Server) -> str:
    name = "@@gtid_executed" if server.flavour == "mysql" else "@@gtid_binlog_pos"
    ((text,),) = run(server, f"SELECT {name}")
    return str(gtid_set(server.flavour, str(text)))


def purge(server: Server) -> None:
    run(server, "FLUSH BINARY LOGS")
    last = resolved(server, "now").file

    def purged() -> bool:  # a file is kept while transactions in it are not checkpointed
        run(server, f"PURGE BINARY LOGS TO '{last}'")
        return len(run(server, "SHOW BINARY LOGS")) == 1

    assert wait_until(purged, SECONDS)


def test_every_transaction_end_is_a_start(server_pair: ServerPair) -> None:
    source = server_pair.source
    prepare(source)
    start = resolved(source, "now")
    insert(source, 5)
    end = resolved(source, "now")
    with following(source, start) as all_of_it:
        all_of_it.until_position(end)
    assert len(all_of_it.ends) == 5
    assert all_of_it.ends[-1] == replace(end, commit_time=all_of_it.ends[-1].commit_time)
    for position in all_of_it.ends[:-1]:
        by_file = resolved(source, f"file:{position.file}:{position.offset}")
        assert by_file == replace(position, commit_time=0.0)
        after = all_of_it.ends[all_of_it.ends.index(position) + 1 :]
        for begin in (position, by_file, resolved(source, f"gtid:{position.gtid_set}"), replace(position, gtid_set="")):
            with following(source, begin) as rest:
                rest.until_position(end)
            assert [(p.file, p.offset) for p in rest.ends] == [(p.file, p.offset) for p in after]
    assert executed(source) == end.gtid_set


def test_a_restart_of_the_source_resumes_exactly(flavour: Flavour, start_pair: StartPair) -> None:
    source = start_pair(flavour).source
    prepare(source)
    insert(source, 3)
    with following(source, "earliest") as first:
        first.until(lambda: len(first.ends) == 3)
        source.restart()
        with pytest.raises(SourceUnavailable):
            first.until(lambda: False)
    insert(source, 2)
    with following(source, first.ends[-1]) as second:
        second.until(lambda: len(second.ends) == 2)
    assert second.rows == ["r.a"] * 2
    assert second.ends[-1].gtid_set == executed(source)
    assert second.ends[-1].file > first.ends[-1].file


def test_compressed_binlogs_give_the_same_events(flavour: Flavour, start_pair: StartPair) -> None:
    pair = start_pair(flavour, COMPRESSED[flavour])
    wanted = {}
    for server in (pair.source, pair.sink):
        prepare(server)
        start = resolved(server, "now")
        insert(server, 5)
        run(server, "UPDATE r.a SET b = REPEAT('y', 700)", "DELETE FROM r.a WHERE id < 3")
        with following(server, start) as follower:
            follower.until_position(resolved(server, "now"))
        wanted[server.name] = [follower.kinds.get(kind, 0) for kind in (e.TABLE_MAP, *sorted(e.ROWS), e.XID)]
        assert len(follower.ends) == 7
    compressed, plain = wanted.values()
    assert compressed == plain


@pytest.mark.filterwarnings("ignore:'db' is deprecated:DeprecationWarning")  # the oracle's, not ours
def test_counts_agree_with_mysql_replication(server_pair: ServerPair) -> None:
    source = server_pair.source
    prepare(source)
    run(source, "FLUSH BINARY LOGS")
    start = resolved(source, "now")
    insert(source, 10)
    run(source, "UPDATE r.a SET b = 'z'", "CREATE TABLE r.b SELECT * FROM r.a", "DELETE FROM r.b")
    end = resolved(source, "now")
    with following(source, start) as follower:
        follower.until_position(end)
    access = source.root
    oracle = BinLogStreamReader(
        connection_settings={
            "host": access.host,
            "port": access.port,
            "user": access.user,
            "password": access.password,
        },
        server_id=SERVER_ID + 1,
        log_file=start.file,
        log_pos=start.offset,
        resume_stream=True,
        is_mariadb=False,
    )
    counted = Counter(event.event_type for event in oracle)
    oracle.close()
    for kind in (*e.ROWS, e.TABLE_MAP, e.XID):
        assert follower.kinds.get(kind, 0) == counted.get(kind, 0), e.type_name(kind)
    assert counted[e.XID] == 13


def test_heartbeats_and_wake(server_pair: ServerPair) -> None:
    source = server_pair.source
    with following(source, "now", heartbeat_seconds=0.2) as follower:
        follower.until(lambda: follower.kinds.get(e.HEARTBEAT, 0) + follower.kinds.get(e.HEARTBEAT_V2, 0) >= 2)
    with following(source, "now", heartbeat_seconds=30.0) as follower:
        follower.until(lambda: e.FORMAT_DESCRIPTION in follower.kinds)
        while follower.reader.ready():
            follower.reader.read(0)
        wake, waker = os.pipe()
        try:
            os.write(waker, b"x")
            assert follower.reader.read(15.0, wake) == []
            assert follower.reader.read(0.01) == []
        finally:
            os.close(wake)
            os.close(waker)
    assert follower.reader.format_description[4] == e.FORMAT_DESCRIPTION


def test_close_ends_a_read_of_another_thread(server_pair: ServerPair) -> None:
    with following(server_pair.source, "now", heartbeat_seconds=60.0) as follower:
        follower.until(lambda: e.FORMAT_DESCRIPTION in follower.kinds)
        caught: list[Exception] = []

        def read() -> None:
            try:
                while True:
                    follower.reader.read(30.0)
            except SourceUnavailable as error:
                caught.append(error)

        thread = threading.Thread(target=read)
        thread.start()
        follower.reader.close()
        thread.join(5)
        assert not thread.is_alive()
    assert "closed" in str(caught[0])


def test_a_purged_position_has_its_own_error(flavour: Flavour, start_pair: StartPair) -> None:
    source = start_pair(flavour).source
    prepare(source)
    start = resolved(source, "now")
    insert(source, 2)
    purge(source)
    for position in (start, replace(start, gtid_set="")):
        with pytest.raises(BinlogPurged, match="purged"), following(source, position) as follower:
            follower.until(lambda: False)


@pytest.mark.parametrize("gtids", [True, False])
def test_a_source_may_purge_what_the_stream_has_read(
    flavour: Flavour, start_pair: StartPair, monkeypatch: pytest.MonkeyPatch, gtids: bool
) -> None:
    questions: list[bytes] = []
    ask = Reader._ask

    def counted(reader: Reader, heartbeat: bytes, idle: bool) -> None:
        ask(reader, heartbeat, idle)
        questions.append(heartbeat)

    monkeypatch.setattr("hedgerow.dispatcher.source.reader._IDLE_SECONDS", 0.2)
    monkeypatch.setattr(Reader, "_ask", counted)
    source = start_pair(flavour).source
    prepare(source)
    start = resolved(source, "now")
    insert(source, 2)
    begin = start if gtids else replace(start, gtid_set="")
    with following(source, begin, heartbeat_seconds=0.1) as follower:
        follower.until(lambda: len(follower.ends) == 2)
        purge(source)
        questions.clear()
        follower.until(lambda: len(questions) >= 2)
        insert(source, 1)
        follower.until(lambda: len(follower.ends) == 3)


def test_a_reset_binlog_has_its_own_error(flavour: Flavour, start_pair: StartPair) -> None:
    source = start_pair(flavour).source
    prepare(source)
    insert(source, 20)
    start = resolved(source, "now")
    run(source, "RESET BINARY LOGS AND GTIDS" if flavour == "mysql" else "RESET MASTER")
    insert(source, 1)
    for position in (start, replace(start, gtid_set=""), replace(start, gtid_set="", file="binlog.000099")):
        with pytest.raises(BinlogReset), following(source, position):
            pass


def test_another_server_continues_only_with_everything(flavour: Flavour, start_pair: StartPair) -> None:
    pair = start_pair(flavour)
    prepare(pair.source)
    insert(pair.source, 2)
    position = resolved(pair.source, "now")
    with pytest.raises(HistoryDiverged) as caught, following(pair.sink, position):
        pass
    missing = position.gtid_set if flavour == "mysql" else "0-"
    assert missing in str(caught.value)
    with pytest.raises(HistoryDiverged), following(pair.sink, replace(position, gtid_set="", source_id="")):
        pass
    prepare(pair.sink)
    run(pair.sink, "FLUSH BINARY LOGS")
    own = resolved(pair.sink, "now")
    insert(pair.sink, 1)
    elsewhere = Position(own.gtid_set, "other.000007", 12345, "another server")
    with following(pair.sink, elsewhere) as follower:
        follower.until(lambda: len(follower.ends) == 1)
    assert follower.ends[0].source_id == own.source_id
    assert follower.ends[0].file == own.file


def test_mysql_tagged_gtids(server_pair: ServerPair) -> None:
    if server_pair.flavour != "mysql":
        return
    source = server_pair.source
    prepare(source)
    start = resolved(source, "now")
    run(
        source,
        "SET gtid_next = 'AUTOMATIC:tag_a'",
        *["INSERT INTO r.a (b) VALUES (1)"] * 3,
        "SET gtid_next = 'AUTOMATIC:b'",
        "INSERT INTO r.a (b) VALUES (1)",
        "SET gtid_next = 'AUTOMATIC'",
        "INSERT INTO r.a (b) VALUES (1)",
    )
    with following(source, start) as follower:
        follower.until(lambda: len(follower.ends) == 5)
    assert follower.ends[-1].gtid_set == executed(source)
    assert ":tag_a:1-3" in follower.ends[-1].gtid_set
    with following(source, replace(follower.ends[1], source_id="another")) as rest:
        rest.until(lambda: rest.tracker.position().gtid_set == executed(source))
    assert len(rest.ends) == 3


def test_gtids_off_start_by_file(start_pair: StartPair, flavour: Flavour) -> None:
    if flavour != "mysql":
        return
    source = start_pair("mysql", {"gtid_mode": "OFF", "enforce_gtid_consistency": "OFF"}).source
    prepare(source)
    start = resolved(source, "now")
    assert start.gtid_set == ""
    insert(source, 3)
    with following(source, start) as follower:
        follower.until(lambda: len(follower.ends) == 3)
    assert follower.tracker.gtid == ""
    with following(source, follower.ends[0]) as rest:
        rest.until(lambda: len(rest.ends) == 2)
    with pytest.raises(HistoryDiverged), following(source, replace(start, source_id="another")):
        pass


def test_statement_format_is_a_statement(server_pair: ServerPair) -> None:
    """For whoever classifies: it holds no rows, and is not passed over."""
    source = server_pair.source
    prepare(source)
    start = resolved(source, "now")
    run(source, "SET binlog_format = 'STATEMENT'", "INSERT INTO r.a (b) VALUES ('x')")
    texts: list[str] = []
    with following(source, start) as follower:

        def take(event: bytes) -> None:
            if follower.tracker.feed(event) == t.DDL and follower.tracker.statement is not None:
                texts.append(follower.tracker.statement.text)

        follower.take = take  # type: ignore[method-assign]
        follower.until(lambda: bool(texts))
        assert follower.rows == []
    assert texts == ["INSERT INTO r.a (b) VALUES ('x')"]


def test_damage_on_the_way_is_noticed(server_pair: ServerPair) -> None:
    source = server_pair.source
    prepare(source)
    start = resolved(source, "now")
    insert(source, 3)
    with Corruptor(source.port, b"x" * 400) as corruptor, following(source, start, port=corruptor.port) as follower:
        with pytest.raises(BinlogCorrupt, match="checksum"):
            follower.until(lambda: False)
        assert follower.ends == []


def test_a_silent_source_counts_as_dead(server_pair: ServerPair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hedgerow.dispatcher.source.reader._LEAST_SILENCE_SECONDS", 0.3)
    with following(server_pair.source, "now", heartbeat_seconds=0.05) as follower:
        follower.until(lambda: e.FORMAT_DESCRIPTION in follower.kinds)
        server_pair.source.freeze()
        try:
            with pytest.raises(SourceUnavailable, match="heartbeat"):
                follower.until(lambda: False)
        finally:
            server_pair.source.thaw()


def test_nothing_listens() -> None:
    reader = Reader(ServerUri.parse("mysql://nobody@127.0.0.1:1/"), "mysql", Position(), server_id=SERVER_ID)
    with pytest.raises(SourceUnavailable):
        reader.connect()
    reader.close()
