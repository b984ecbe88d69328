"""The tracker: what it refuses, and when the position moves."""

from __future__ import annotations

import struct
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.common.binlog import events as e
from hedgerow.common.binlog.position import Position
from hedgerow.common.binlog.skips import Skip
from hedgerow.common.errors import BinlogCorrupt, HedgerowError, HistoryDiverged, UnsupportedEvent
from hedgerow.dispatcher.source import transactions as t
from hedgerow.dispatcher.source.gtid_events import tagged_gtid
from hedgerow.dispatcher.source.refusals import mariadb_missing, refusal
from hedgerow.dispatcher.source.statements import StatementKind, plain_text, statement_kind
from tests.unit.dispatcher.source.packets import make_event

A = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
MAP = make_event(e.TABLE_MAP, b"\x07\0\0\0\0\0\x01\0\x02db\0\x03tab\0\x01\x03\0\x01")
ROWS = make_event(e.WRITE_ROWS, b"\x07\0\0\0\0\0\x01\0\x02\0\x01\xff\0\x01\0\0\0")
ROTATE = make_event(e.ROTATE, bytes(8) + b"b.000002", log_pos=0)


def query(text: bytes, *, schema: bytes = b"db", log_pos: int = 1000) -> bytes:
    head = struct.pack("<IIBHH", 1, 0, len(schema), 0, 0)
    return make_event(e.QUERY, head + schema + b"\0" + text, log_pos=log_pos)


def gtid(number: int) -> bytes:
    return make_event(e.GTID, b"\0" + UUID(A).bytes + struct.pack("<q", number))


def mariadb_gtid(number: int, flags: int = 0, domain: int = 0) -> bytes:
    return make_event(e.MARIADB_GTID, struct.pack("<QIB", number, domain, flags) + bytes(6))


def xid(log_pos: int) -> bytes:
    return make_event(e.XID, bytes(8), log_pos=log_pos)


def mysql_tracker() -> t.Tracker:
    return t.Tracker("mysql", Position(f"{A}:1-4", "b.000001", 50, "s", 3.0), "s")


def test_the_position_moves_at_ends_only() -> None:
    tracker = mysql_tracker()
    start = tracker.position()
    for event, what in ((ROTATE, t.NOTHING), (gtid(5), t.NOTHING), (query(b"BEGIN"), t.BEGIN), (MAP, t.TABLE_MAP)):
        assert tracker.feed(event) == what
        assert tracker.position() == start
    assert tracker.feed(ROWS) == t.ROWS
    assert (tracker.table and tracker.table.schema, tracker.table and tracker.table.table) == ("db", "tab")
    assert tracker.gtid == f"{A}:5"
    assert tracker.position() == start
    assert tracker.feed(xid(777)) == t.END
    assert tracker.position() == Position(f"{A}:1-5", "b.000002", 777, "s", 7.0)


def test_a_statement_moves_it_when_it_is_finished() -> None:
    tracker = mysql_tracker()
    start = tracker.position()
    tracker.feed(gtid(5))
    assert tracker.feed(query(b"DROP TABLE x", log_pos=99)) == t.DDL
    assert tracker.position() == start
    statement = tracker.statement
    assert statement is not None
    assert (statement.text, statement.default_schema, statement.gtid) == ("DROP TABLE x", "db", f"{A}:5")
    tracker.finish_statement()
    assert tracker.position() == Position(f"{A}:1-5", "b.000001", 99, "s", 7.0)
    with pytest.raises(RuntimeError):
        tracker.finish_statement()


def test_another_servers_place_is_not_taken_over() -> None:
    tracker = t.Tracker("mysql", Position(f"{A}:1-4", "b.000001", 50, "old"), "new")
    assert tracker.position() == Position(f"{A}:1-4", "", 0, "new")


@pytest.mark.parametrize(
    ("events", "error", "says"),
    [
        ([make_event(200, b"")], UnsupportedEvent, "type 200.*b.000002:1000"),
        ([make_event(e.INCIDENT, b"")], UnsupportedEvent, "copy the data"),
        ([make_event(e.EXECUTE_LOAD_QUERY, b"")], UnsupportedEvent, "LOAD DATA"),
        ([gtid(5), query(b"BEGIN"), query(b"ROLLBACK TO `s`")], BinlogCorrupt, "savepoint"),
        ([gtid(5), query(b"BEGIN"), ROWS], BinlogCorrupt, "table id 7"),
        ([gtid(5), query(b"BEGIN"), MAP, xid(5), gtid(6), query(b"BEGIN"), ROWS], BinlogCorrupt, "table id 7"),
        ([gtid(5), query(b"BEGIN"), gtid(6)], BinlogCorrupt, "inside"),
    ],
)
def test_what_cannot_be_replicated_stops(events: list[bytes], error: type[HedgerowError], says: str) -> None:
    tracker = mysql_tracker()
    tracker.feed(ROTATE)
    for event in events[:-1]:
        tracker.feed(event)
    with pytest.raises(error, match=says):
        tracker.feed(events[-1])


def test_events_that_say_so_are_ignored() -> None:
    tracker = mysql_tracker()
    assert tracker.feed(make_event(200, b"", flags=e.IGNORABLE_F)) == t.NOTHING
    for kind in e.IGNORED:
        assert tracker.feed(make_event(kind, bytes(8))) == t.NOTHING


def test_mariadb_sequence_numbers_must_grow() -> None:
    tracker = t.Tracker("mariadb", Position("0-1-5", "b.000001", 4, "1"), "1")
    for event in (mariadb_gtid(6), xid(5), mariadb_gtid(1, domain=3), xid(6)):
        tracker.feed(event)
    assert tracker.position().gtid_set == "0-1-6,3-1-1"
    tracker.feed(mariadb_gtid(6))
    with pytest.raises(HistoryDiverged, match="gtid_strict_mode"):
        tracker.feed(xid(7))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("BEGIN", StatementKind.BEGIN),
        ("COMMIT", StatementKind.COMMIT),
        ("# Dummy event replacing event type 160 that slave cannot handle.", StatementKind.IGNORABLE),
        ("SAVEPOINT `x`", StatementKind.IGNORABLE),
        ("DROP /*!40005 TEMPORARY */ TABLE IF EXISTS `t`", StatementKind.IGNORABLE),
        ("create temporary table x (y int)", StatementKind.IGNORABLE),
        ("ROLLBACK TO `x`", StatementKind.ROLLBACK),
        (" /* c */ -- d\n # e\n UPDATE x SET y = 1", StatementKind.CHANGE),
        ("/*!50000 CREATE TABLE x (y int) */", StatementKind.DEFINITION),
        ("/* BEGIN */ TRUNCATE x", StatementKind.DEFINITION),
        ("(SELECT 1)", StatementKind.DEFINITION),
        ("XA COMMIT X'31',X'',1", StatementKind.XA),
    ],
)
def test_kinds_of_statements(text: str, kind: StatementKind) -> None:
    event = query(text.encode())
    assert statement_kind(plain_text(event, len(event) - len(text))) == kind


TAGS = st.text("_ab9", min_size=1, max_size=32).map(str.encode)


def varint(value: int) -> bytes:
    size = max(1, -(-value.bit_length() // 7))
    if size > 8:
        return b"\xff" + value.to_bytes(8, "little")
    return (value << size | (1 << size - 1) - 1).to_bytes(size, "little")


@given(
    st.binary(min_size=16, max_size=16), st.integers(1, 2**62), st.text("_ab9", min_size=1, max_size=32).map(str.encode)
)
def test_tagged_gtids_of_any_size(uuid: bytes, number: int, tag: bytes) -> None:
    fields = varint(0) + varint(1) + varint(1) + b"".join(map(varint, uuid))
    fields += varint(2) + varint(2 * number) + varint(3) + varint(len(tag)) + tag + varint(9) + b"\x77"
    head = varint(1)
    size = len(head) + 2 + 1 + len(fields)
    body = head + (size << 2 | 1).to_bytes(2, "little") + varint(0) + fields
    assert tagged_gtid(make_event(e.GTID_TAGGED, body)) == (uuid + tag, number)


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        (0, "", "SourceUnavailable"),
        (1053, "Server shutdown in progress", "SourceUnavailable"),
        (1236, "A slave with the same server_uuid/server_id as this slave has connected", "SourceUnavailable"),
        (1236, "Could not find first log file name in binary log index file", "BinlogPurged"),
        (1236, "Cannot replicate because the source purged required binary logs. Replicate", "BinlogPurged"),
        (1236, "Replica has more GTIDs than the source has, using the source's SERVER_UUID", "HistoryDiverged"),
        (1236, "Client requested source to start replication from position > file size", "BinlogReset"),
        (1236, "log event entry exceeded max_allowed_packet", "UnsupportedEvent"),
        (1236, "event read from binlog did not pass crc check", "BinlogCorrupt"),
        (1236, "something new", "BinlogCorrupt"),
    ],
)
def test_refusals_have_their_own_errors(code: int, text: str, expected: str) -> None:
    error = refusal("h:1", Position(f"{A}:1"), code, text)
    assert error.code == expected
    assert text in str(error)


@pytest.mark.parametrize(
    ("applied", "known", "missing"),
    [
        ("", [""], ""),
        ("0-1-5,7-1-3", ["0-1-9", "7-1-3"], ""),
        ("0-1-5", ["0-2-9"], "0-1-5"),  # another server has used the number
        ("0-1-5", ["0-2-9", "0-1-4,0-2-9"], "0-1-5"),
        ("0-1-5", ["0-2-9", "0-1-5,0-2-9"], ""),
        ("0-1-5,3-1-2", ["0-1-5"], "3-1-2"),
    ],
)
def test_mariadb_servers_are_told_apart(applied: str, known: list[str], missing: str) -> None:
    assert mariadb_missing(applied, known) == missing


def test_offsets_beyond_four_gigabytes() -> None:
    """log_pos has 32 bits: a transaction of 9 GiB goes around twice. Rows whose header does not say it are no lap."""
    tracker = t.Tracker("mysql", Position("", "b.000001", 50, "s"), "s")
    for event in (ROTATE, gtid(5), query(b"BEGIN"), MAP):
        tracker.feed(event)
    for gigabyte in (1, 2, 3, 4, 5, 6, 7, 8, 9):
        tracker.feed(make_event(e.WRITE_ROWS, ROWS[e.HEADER :], log_pos=(gigabyte << 30) + 500 & 0xFFFFFFFF))
        tracker.feed(make_event(e.WRITE_ROWS, ROWS[e.HEADER :], log_pos=0))
    tracker.feed(xid((9 << 30) + 700 & 0xFFFFFFFF))
    assert tracker.position().offset == (9 << 30) + 700
    tracker.feed(make_event(e.ROTATE, bytes(8) + b"b.000003", log_pos=0))
    for event in (gtid(6), query(b"BEGIN"), MAP, ROWS):
        tracker.feed(event)
    tracker.feed(xid(2000))
    assert (tracker.position().file, tracker.position().offset) == ("b.000003", 2000)


def test_a_torn_file_names_the_place_after_it() -> None:
    """The server's own words (MariaDB 10.11)."""
    text = (
        "binlog truncated in the middle of event; consider out of disk space on master; the first event "
        "'binlog.000001' at 4, the last event read from './binlog.000009' at 2874, "
        "the last byte read from './binlog.000009' at 2874."
    )
    error = refusal("h:1", Position("0-1-7"), 1236, text)
    assert isinstance(error, BinlogCorrupt)
    assert "--start file:binlog.000010:4" in str(error)
    assert "binlog.000009:2874" in str(error)


def left_out(*events: bytes, tables: frozenset[str] = frozenset()) -> tuple[list[int], t.Tracker]:
    """What comes of the events when transaction 5 is left out."""
    start = Position(f"{A}:1-4", "b.000001", 50, "s", 3.0)
    tracker = t.Tracker("mysql", start, "s", [Skip(f"{A}:5", tables=tables)])
    found = []
    for event in (gtid(5), *events):
        found.append(tracker.feed(event))
        if found[-1] == t.DDL:
            assert tracker.statement is not None
            assert tracker.statement.skipped
            tracker.finish_statement()
    return found[1:], tracker


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([query(b"BEGIN"), MAP, ROWS, xid(9)], [t.BEGIN, t.TABLE_MAP, t.ROWS, t.END]),
        ([query(b"BEGIN"), ROWS, query(b"ROLLBACK")], [t.BEGIN, t.NOTHING, t.END]),
        (
            [query(b"BEGIN"), query(b"INSERT INTO x VALUES (1)"), query(b"ROLLBACK TO `a`"), query(b"COMMIT")],
            [t.BEGIN, t.NOTHING, t.NOTHING, t.END],
        ),
        ([query(b"BEGIN"), make_event(200, b""), make_event(e.USER_VAR, b""), xid(9)], [t.BEGIN, 0, 0, t.END]),
        ([make_event(e.INCIDENT, b"")], [t.END]),
        ([query(b"ALTER TABLE x ADD a INT")], [t.DDL]),
        ([query(b"XA COMMIT X'61',X'',1")], [t.XA_ROLLBACK]),
    ],
)
def test_a_transaction_that_is_left_out_need_not_be_understood(events: list[bytes], expected: list[int]) -> None:
    found, tracker = left_out(*events)
    assert found == expected
    assert tracker.position().gtid_set == f"{A}:1-5"
    assert tracker.skipped == [f"{A}:5"]
    assert tracker.skipping is None
    for event in (gtid(6), query(b"BEGIN"), MAP, ROWS, xid(1234)):
        tracker.feed(event)
    assert tracker.position().gtid_set == f"{A}:1-6"
    assert tracker.skipped == [f"{A}:5"]


def test_a_statement_that_cannot_be_read_is_left_out_too() -> None:
    head = struct.pack("<IIBHH", 1, 0, 2, 0, 1)
    event = make_event(e.QUERY, head + b"\xee" + b"db\0ALTER TABLE x ADD a INT", log_pos=999)
    with pytest.raises(HedgerowError):
        mysql_tracker().feed(event)
    found, tracker = left_out(event)
    assert found == [t.DDL]
    assert tracker.position().gtid_set == f"{A}:1-5"


def test_where_only_tables_are_left_out_everything_is_understood() -> None:
    with pytest.raises(UnsupportedEvent):
        left_out(make_event(e.INCIDENT, b""), tables=frozenset({"db.tab"}))


def test_an_event_outside_of_transactions_is_left_out_by_its_place() -> None:
    tracker = t.Tracker("mysql", Position("", "b.000001", 50, "s"), "s", [Skip("", "b.000002", 1000)])
    tracker.feed(ROTATE)
    assert tracker.feed(make_event(e.INCIDENT, b"")) == t.NOTHING
    with pytest.raises(UnsupportedEvent) as caught:
        mysql_tracker().feed(make_event(e.INCIDENT, b""))
    assert caught.value.place == ("b.000001", 1000)
