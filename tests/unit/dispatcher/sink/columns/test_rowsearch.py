"""What rows events say of their rows before, on recordings; and that every such set of columns is judged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from hedgerow.common.binlog import events as e
from hedgerow.common.binlog.position import Position
from hedgerow.common.binlog.rows_header import RowsHeader, read_rows_header
from hedgerow.common.binlog.table_map import read_table_map
from hedgerow.common.errors import SinkRefused
from hedgerow.common.mysql.catalog import Column
from hedgerow.common.mysql.lookup import finds, rekeyed
from hedgerow.common.mysql.names import TableName
from hedgerow.dispatcher.sink.binlog.coalesce import Coalescer
from hedgerow.dispatcher.sink.columns.rowsearch import SearchedTable, refuse_unfound
from tests.data.record_binlogs import BINLOGS, flavour_of
from tests.unit.dispatcher.source.story import events_of_file

RECORDINGS = [path for path in sorted(BINLOGS.glob("*.bin")) if "sessions" not in path.stem]
TABLE = TableName("shop", "t")
ALL, ID_ONLY, NOT_T = RowsHeader(3, (b"\x07",), 0, 0), RowsHeader(3, (b"\x01",), 0, 0), RowsHeader(3, (b"\x03",), 0, 0)


def recorded(stem: str) -> Iterator[tuple[bytes, bytes]]:
    """Every rows event with its table map."""
    maps: dict[bytes, bytes] = {}
    for whole in events_of_file((BINLOGS / f"{stem}.bin").read_bytes()):
        event = whole[: -e.CHECKSUM]
        if event[e.TYPE_AT] == e.TABLE_MAP:
            maps[event[e.TABLE_ID]] = event
        elif event[e.TYPE_AT] in e.ROWS_KINDS:
            yield maps[event[e.TABLE_ID]], event


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_the_header_of_every_recorded_event_fits_its_table_map(path: Path) -> None:
    found = list(recorded(path.stem))
    assert found
    for table_map, event in found:
        header = read_rows_header(event)
        columns = len(read_table_map(table_map, flavour_of(path)).columns)
        assert header.columns == columns
        assert len(header.images) == 1 + (e.ROWS_KINDS[event[e.TYPE_AT]] == "update")
        assert all(header.held(image) == tuple(range(columns)) for image in range(len(header.images)))
        assert header.first_end <= header.end < len(event)
        with pytest.raises((ValueError, IndexError)):
            read_rows_header(event[: header.end - 1])


def test_each_set_of_columns_is_judged_once_in_a_statement_and_inserts_never() -> None:
    events = list(recorded("mariadb-10.11"))
    (table_map, delete), *_ = (each for each in events if each[1][e.TYPE_AT] == e.DELETE_ROWS_V1)
    inserts = [each for each in events if each[1][e.TYPE_AT] == e.WRITE_ROWS_V1 and each[0][19:] == table_map[19:]]
    assert inserts
    asked: list[bytes] = []
    coalescer = Coalescer(1 << 20, check_rows=lambda dispatcher, name, event: asked.append(event))
    for _ in range(2):
        for insert in inserts:
            coalescer.add("g.a", *insert)
        assert not asked
        for _ in range(3):
            coalescer.add("g.a", table_map, delete)
        assert asked == [delete], "the next statement asks anew: the sink's table may have been read again"
        coalescer.end_transaction(Position(file="f", offset=1))
        coalescer.take()
        asked.clear()


@pytest.mark.parametrize("first", [True, False])
def test_what_is_refused_is_not_in_the_batch(first: bool) -> None:
    events = list(recorded("mariadb-10.11"))
    (table_map, delete), *_ = (each for each in events if each[1][e.TYPE_AT] == e.DELETE_ROWS_V1)
    _, insert = next(each for each in events if each[1][e.TYPE_AT] == 23 and each[0][19:] == table_map[19:])

    def refuse(dispatcher: str, name: TableName, event: bytes) -> None:
        raise SinkRefused(name.key)

    coalescer = Coalescer(1 << 20, check_rows=refuse)
    if not first:
        coalescer.add("g.a", table_map, insert)
    with pytest.raises(SinkRefused, match=r"g\.a"):
        coalescer.add("g.a", table_map, delete)
    assert coalescer.rows_events == (0 if first else 1)
    assert coalescer.take(final=False).rows_events == coalescer.rows_events + (0 if first else 1)


@dataclass(frozen=True)
class Judged:
    """Of columns id, a and t of a table whose key in the sink is `key`; `t` is the sink's alone where there are two."""

    key: str
    header: RowsHeader
    version: tuple[int, ...]
    says: str  # empty: found


TWO = RowsHeader(2, (b"\x03",), 0, 0)
OLD, NEW = (10, 11, 6), (11, 8, 2)


@pytest.mark.parametrize(
    "case",
    [
        Judged("id", ALL, OLD, ""),
        Judged("a", ALL, OLD, ""),
        Judged("", ALL, OLD, ""),
        Judged("id", ID_ONLY, OLD, ""),
        Judged("id", NOT_T, OLD, ""),
        Judged("a", NOT_T, OLD, ""),
        Judged("a", ID_ONLY, OLD, r"only the columns `id` .* its key \(`a`\)"),
        Judged("id a", ID_ONLY, NEW, r"its key \(`id`, `a`\)"),
        Judged("", ID_ONLY, NEW, r"no primary key"),
        Judged("t", TWO, OLD, r"key \(`t`\), of which the source's binlog does not have `t`"),
        Judged("id t", TWO, OLD, r"key \(`id`, `t`\), of which the source's binlog does not have `t`"),
        Judged("t", TWO, NEW, ""),
        Judged("id", TWO, OLD, ""),
    ],
)
def test_a_row_is_found_only_by_a_key_that_is_told(case: Judged) -> None:
    columns = tuple(column(name, case.key.split()) for name in ("id", "a", "t"))
    table = SearchedTable(TABLE, columns, (), ("id",))
    if not case.says:
        return refuse_unfound(table, case.header, case.version)
    with pytest.raises(SinkRefused, match=case.says) as refused:
        refuse_unfound(table, case.header, case.version)
    assert f"{rekeyed(TABLE, ['id'], columns)}; in the sink" in str(refused.value)
    assert "shop.t" in str(refused.value)
    return None


def test_a_unique_key_of_the_sink_over_its_own_column_that_may_be_null() -> None:
    columns = tuple(column(name, ()) for name in ("id", "a", "t"))
    for keys, version, refused in (([{"a"}], OLD, False), ([{"t"}], OLD, True), ([{"t"}], NEW, False)):
        table = SearchedTable(TABLE, columns, tuple(map(frozenset, keys)), ())
        if refused:
            with pytest.raises(SinkRefused, match=r"ALTER TABLE `shop`.`t` DROP COLUMN `t`; in the sink"):
                refuse_unfound(table, TWO, version)
        else:
            refuse_unfound(table, TWO, version)


def test_a_generated_column_need_not_be_told_to_a_server_that_computes_it() -> None:
    columns = (*(column(name, ()) for name in ("id", "a")), Column("t", "int", "", "", True, "VIRTUAL", False))
    refuse_unfound(SearchedTable(TABLE, columns, (), ()), NOT_T, NEW)
    with pytest.raises(SinkRefused, match="no primary key"):
        refuse_unfound(SearchedTable(TABLE, columns, (), ()), NOT_T, OLD)
    with pytest.raises(SinkRefused, match="no primary key"):
        refuse_unfound(SearchedTable(TABLE, columns, (), ()), ID_ONLY, NEW)


def test_names_are_compared_in_any_case_and_a_table_without_a_key_is_not_searched() -> None:
    assert finds(["ID"], [column("Id", ["Id"]), column("a", ())])
    assert not finds(["a"], [column("a", ())])


def test_an_auto_increment_column_keeps_a_key() -> None:
    counted = Column("n", "int", "", "", False, "", False, in_key=True, counts=True)
    assert "ADD PRIMARY KEY (`id`), ADD INDEX (`n`)" in rekeyed(TABLE, ["id"], [counted])
    assert "ADD INDEX" not in rekeyed(TABLE, ["n", "id"], [counted])


def column(name: str, key: Sequence[str]) -> Column:
    return Column(name, "int", "", "", name not in key, "", False, in_key=name in key)
