"""The rules of BINLOG statements, on made-up events: whatever is added, what comes out keeps them."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.common.binlog.events import ROWS_FLAGS_AT, ROWS_KINDS, STMT_END_F, TABLE_ID, TYPE_AT
from hedgerow.common.binlog.position import Position
from hedgerow.common.binlog.table_map import table_name
from hedgerow.common.errors import SinkRefused
from hedgerow.dispatcher.sink.api import Batch, Decided, Prepared, Rows
from hedgerow.dispatcher.sink.binlog.coalesce import Coalescer

PACKET = 1000


def event(kind: int, body: bytes) -> bytes:
    return struct.pack("<IBIIIH", 0, kind, 1, 19 + len(body), 0, 0) + body


def table_map(table_id: int, table: str, columns: int = 1) -> bytes:
    name = table.encode()
    return event(
        19, table_id.to_bytes(6, "little") + b"\1\0" + b"\1d\0" + bytes([len(name)]) + name + b"\0" + bytes([columns])
    )


def rows(table_id: int, number: int, kind: int = 30, flags: int = STMT_END_F, padding: int = 0) -> bytes:
    return event(kind, table_id.to_bytes(6, "little") + struct.pack("<HI", flags, number) + bytes(padding))


@dataclass(frozen=True)
class Added:
    table: str
    table_id: int
    columns: int
    number: int
    kind: int
    flags: int
    padding: int


added = st.builds(
    Added,
    table=st.sampled_from("abc"),
    table_id=st.integers(1, 3),
    columns=st.integers(1, 2),
    number=st.integers(0, 2**32 - 1),
    kind=st.sampled_from([23, 24, 25, 30, 31, 32, 39]),
    flags=st.sampled_from([0, 1, 2, 3, 17, 18, 0x81]),
    padding=st.integers(0, 200),
)


def split(data: bytes | bytearray) -> list[bytes]:
    events = []
    while data:
        (size,) = struct.unpack_from("<I", data, 9)
        events.append(bytes(data[:size]))
        data = data[size:]
    return events


def collect(items: list[Added], tied: str = "") -> Batch:
    coalescer = Coalescer(PACKET, set(tied))
    for item in items:
        coalescer.add(
            item.table,
            table_map(item.table_id, item.table, item.columns),
            rows(item.table_id, item.number, item.kind, item.flags, item.padding),
        )
    coalescer.end_transaction(Position(file="f", offset=1))
    return coalescer.take()


@given(st.lists(added, max_size=40))
def test_every_statement_keeps_the_rules(items: list[Added]) -> None:
    batch = collect(items, tied="c")
    remaining = iter(items)
    for statement in batch.items:
        assert isinstance(statement, Rows)
        assert len(statement.events) < PACKET
        events = split(statement.events)
        maps = [e for e in events if e[TYPE_AT] == 19]
        changes = events[len(maps) :]
        assert changes
        assert all(e[TYPE_AT] in ROWS_KINDS for e in changes)
        by_id = {e[TABLE_ID]: e for e in maps}
        assert len(by_id) == len({table_name(e) for e in maps}) == len(maps)
        assert [e[ROWS_FLAGS_AT] & STMT_END_F for e in changes] == [0] * (len(changes) - 1) + [1]
        assert len({(e[ROWS_FLAGS_AT] | STMT_END_F, e[ROWS_FLAGS_AT + 1]) for e in changes}) == 1
        for change in changes:
            item = next(remaining)
            assert by_id[change[TABLE_ID]] == table_map(item.table_id, item.table, item.columns)
            assert (
                change[ROWS_FLAGS_AT + 2 :]
                == rows(item.table_id, item.number, padding=item.padding)[ROWS_FLAGS_AT + 2 :]
            )
            assert change[TYPE_AT] == item.kind
            cascaded = item.flags & 16 and item.kind >= 30
            assert (change[ROWS_FLAGS_AT] ^ item.flags) & ~STMT_END_F == (2 & ~item.flags if cascaded else 0)
            if item.table == "c" and not change[ROWS_FLAGS_AT] & 2:
                assert len(maps) == 1
                assert {e[TYPE_AT] for e in changes} <= {
                    k for k in ROWS_KINDS if ROWS_KINDS[k] == ROWS_KINDS[item.kind]
                }
    assert next(remaining, None) is None


def test_transactions_of_several_tables_become_one_statement() -> None:
    items = [Added("ab"[n % 2], n % 2, 1, n, 30, STMT_END_F, 0) for n in range(12)]
    batch = collect(items)
    (statement,) = batch.items
    assert isinstance(statement, Rows)
    assert [e[TYPE_AT] for e in split(statement.events)] == [19, 19] + [30] * 12
    assert batch.progress == dict.fromkeys("ab", Position(file="f", offset=1))


def test_an_event_above_the_limit_is_refused_with_the_fix() -> None:
    coalescer = Coalescer(PACKET)
    with pytest.raises(SinkRefused, match=r"table d\.a .*max_allowed_packet of 1000 bytes.*SET GLOBAL"):
        coalescer.add("d.a", table_map(1, "a"), rows(1, 0, padding=800))


def test_a_part_has_touched_dispatchers_and_only_ended_ones_progress() -> None:
    coalescer = Coalescer(PACKET)
    coalescer.add("a", table_map(1, "a"), rows(1, 0))
    coalescer.end_transaction(Position(file="f", offset=1))
    coalescer.advance(["idle"], Position(file="f", offset=1))
    coalescer.add("b", table_map(2, "b"), rows(2, 0))
    with pytest.raises(ValueError, match="ends where a transaction ends"):
        coalescer.take()
    part = coalescer.take(final=False)
    assert set(part.progress) == {"a", "idle"}
    assert part.touched == {"a", "b", "idle"}
    assert coalescer.empty


def test_a_part_that_took_the_last_rows_leaves_the_end_to_hand_over() -> None:
    """The sink transaction is open: it must not wait until something else happens."""
    coalescer = Coalescer(PACKET)
    coalescer.add("a", table_map(1, "a"), rows(1, 0))
    coalescer.take(final=False)
    assert coalescer.empty
    end = Position(file="f", offset=1)
    coalescer.end_transaction(end)
    assert not coalescer.empty
    last = coalescer.take()
    assert (last.progress, last.rows_events, last.final) == ({"a": end}, 0, True)
    coalescer.end_transaction(Position(file="f", offset=2))
    assert coalescer.empty, "the next transaction has nothing for it"


def test_a_new_format_waits_until_the_old_events_are_taken() -> None:
    coalescer = Coalescer(PACKET)
    coalescer.describe(event(15, b"one"))
    coalescer.add("a", table_map(1, "a"), rows(1, 0))
    coalescer.describe(event(15, b"one"))
    with pytest.raises(ValueError, match="take the batch"):
        coalescer.describe(event(15, b"two"))


def test_prepared_rows_are_stored_by_table_and_in_order() -> None:
    coalescer = Coalescer(PACKET * 10)
    coalescer.add("a", table_map(1, "a"), rows(1, 0))
    coalescer.prepare("x")
    for number, table in enumerate("aabba"):
        coalescer.add(table, table_map("ab".index(table), table), rows("ab".index(table), number))
    part = coalescer.take(final=False)
    coalescer.add("b", table_map(1, "b"), rows(1, 5))
    coalescer.end_transaction(Position(file="f", offset=1))
    coalescer.add("b", table_map(1, "b"), rows(1, 6))
    coalescer.decide("y", ["c.d"], commit=True)
    coalescer.end_transaction(Position(file="f", offset=2))
    applied, *stored = part.items
    rest, plain, decided = coalescer.take().items
    assert isinstance(applied, Rows)
    assert isinstance(plain, Rows)
    assert decided == Decided("y", True, frozenset({"c.d"}))
    found = [one for one in (*stored, rest) if isinstance(one, Prepared)]
    assert [(one.xid, one.number, one.dispatcher) for one in found] == [
        ("x", number, key) for number, key in enumerate("abab", 1)
    ]
    assert [len(split(one.events)) - 1 for one in found] == [2, 2, 1, 1]


def test_a_stored_event_leaves_room_for_the_statement_that_stores_it() -> None:
    coalescer = Coalescer(PACKET * 10)
    event = rows(1, 0, padding=PACKET * 10 // 4 * 3 - 400)
    coalescer.add("d.a", table_map(1, "a"), event)
    coalescer.take(final=False)
    coalescer.prepare("x")
    with pytest.raises(SinkRefused, match=r"table d\.a"):
        coalescer.add("d.a", table_map(1, "a"), event)
