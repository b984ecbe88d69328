"""Whether source and sink hold the same: the same tables, of the same columns, with the same rows, byte for byte.

Rows are compared as multisets, so a table without a key is compared as exactly as any other: a row that is there twice
must be there twice. Where a table has a primary key, leftovers with the same key are told as different rows, all others
as missing in the sink or extra in it.

A comparison of tables that are being written to says little; `wait_until_equal` is for a sink that is catching up.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pymysql

from hedgerow.sandbox.accounts import Access
from hedgerow.sandbox.rawrows import TableShape, qualified, raw_connection, read_rows, shapes, split_row

_EXAMPLES = 3  # of each kind, for each table
_VALUE_WIDTH = 60
_POLL_SECONDS = 0.1

Rows = tuple[TableShape, list[bytes]]


@dataclass(frozen=True, slots=True)
class TableComparison:
    """One table. `structure` says what differs in its columns or that it is not there; empty where nothing does."""

    table: str
    source_rows: int
    sink_rows: int
    missing: int = 0  # in the sink
    extra: int = 0  # in the sink
    different: int = 0  # the same primary key, other values
    structure: str = ""
    examples: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        return not (self.missing or self.extra or self.different or self.structure)

    def __str__(self) -> str:
        if self.equal:
            return f"{self.table}: equal, {self.source_rows} rows"
        counts = (
            f"{self.table}: {self.missing} missing in the sink, {self.extra} extra, {self.different} different"
            f" ({self.source_rows} rows in the source, {self.sink_rows} in the sink)"
        )
        structure = [f"  {self.structure}"] if self.structure else []
        return "\n".join([counts, *structure, *(f"  {example}" for example in self.examples)])


@dataclass(frozen=True, slots=True)
class Comparison:
    tables: tuple[TableComparison, ...]

    @property
    def equal(self) -> bool:
        """False too where there was nothing to compare."""
        return bool(self.tables) and all(table.equal for table in self.tables)

    @property
    def rows(self) -> int:
        """In the source."""
        return sum(table.source_rows for table in self.tables)

    @property
    def unequal(self) -> tuple[TableComparison, ...]:
        return tuple(table for table in self.tables if not table.equal)

    def __str__(self) -> str:
        return "\n".join(str(table) for table in self.tables) or "no tables on either side"


def compare(source: Access, sink: Access, *schemas: str, tables: Collection[str] = ()) -> Comparison:
    """Compares all base tables of these schemas (none: of all user schemas), or only `tables` (schema.table).

    Both accounts must see every row: use root's. Raises pymysql.MySQLError.
    """
    with raw_connection(source) as left, raw_connection(sink) as right, ThreadPoolExecutor(1) as pool:
        left_shapes, right_shapes = shapes(left, schemas), shapes(right, schemas)
        names = sorted(tables or (left_shapes.keys() | right_shapes.keys()))
        compared = []
        for name in names:
            left_shape, right_shape = left_shapes.get(name), right_shapes.get(name)
            if left_shape is None or right_shape is None:
                compared.append(_absent(name, left_shape, right_shape))
                continue
            left_rows = pool.submit(read_rows, left, name, left_shape.columns)
            right_rows = read_rows(right, name, right_shape.columns)
            compared.append(compare_rows(name, (left_shape, left_rows.result()), (right_shape, right_rows)))
    return Comparison(tuple(compared))


def compare_rows(table: str, source: Rows, sink: Rows) -> TableComparison:
    """Pure: the verdict over one table's rows as packets."""
    (shape, source_rows), (sink_shape, sink_rows) = source, sink
    structure = _structure(shape, sink_shape)
    only_source = Counter(source_rows)
    only_source.subtract(sink_rows)
    missing = [split_row(row) for row, count in only_source.items() for _ in range(count)]
    extra = [split_row(row) for row, count in only_source.items() for _ in range(-count)]
    different: list[tuple[tuple[bytes | None, ...], tuple[bytes | None, ...]]] = []
    if shape.key and shape.key == sink_shape.key:
        extra_by_key = {tuple(row[at] for at in shape.key): row for row in extra}
        pairs = [(row, extra_by_key.get(tuple(row[at] for at in shape.key))) for row in missing]
        different = [(row, other) for row, other in pairs if other is not None]
        changed = {other for _, other in different}
        missing = [row for row, other in pairs if other is None]
        extra = [row for row in extra if row not in changed]
    names, sink_names = ([column.name for column in each.columns] for each in (shape, sink_shape))
    examples = [
        *(f"missing in the sink: {_show(names, row)}" for row in missing[:_EXAMPLES]),
        *(f"extra in the sink: {_show(sink_names, row)}" for row in extra[:_EXAMPLES]),
        *(f"different: {_show_change(names, sink_names, shape.key, *change)}" for change in different[:_EXAMPLES]),
    ]
    counts = (len(source_rows), len(sink_rows), len(missing), len(extra), len(different))
    return TableComparison(table, *counts, structure, tuple(examples))


def wait_until_equal(
    source: Access, sink: Access, *schemas: str, seconds: float, tables: Collection[str] = ()
) -> Comparison:
    """Polls until the sink has caught up, or the deadline passes; the last comparison, row by row, in either case.

    Polls by CHECKSUM TABLE, which is cheap, and compares rows when the checksums agree, and once whenever both sides
    have come to rest. A server that does not answer is waited for; if it never does, its pymysql.MySQLError is raised.
    """
    deadline = time.monotonic() + seconds
    last: tuple[object, object] | None = None
    judged: tuple[object, object] | None = None
    while True:
        began = time.monotonic()
        try:
            now = (checksums(source, schemas, tables), checksums(sink, schemas, tables))
            if now[0] == now[1] or (now == last and now != judged) or began >= deadline:
                judged = now
                result = compare(source, sink, *schemas, tables=tables)
                if result.equal or began >= deadline:
                    return result
            last = now
        except pymysql.MySQLError:
            if began >= deadline:
                raise
        # Polling must not be a load of its own: it rests at least as long as it works.
        rest = max(_POLL_SECONDS, time.monotonic() - began)
        time.sleep(max(0.0, min(rest, deadline - time.monotonic())))


def checksums(access: Access, schemas: Sequence[str] = (), tables: Iterable[str] = ()) -> dict[str, int | None]:
    """CHECKSUM TABLE of every table. A sign of change; equal contents may differ in it, and rarely the reverse."""
    with raw_connection(access) as connection, connection.cursor() as cursor:
        names = sorted(tables or shapes(connection, schemas))
        if not names:
            return {}
        cursor.execute("CHECKSUM TABLE " + ", ".join(qualified(name) for name in names))
        return dict(cursor.fetchall())


def _absent(table: str, source: TableShape | None, sink: TableShape | None) -> TableComparison:
    where = "either side" if source is sink else "the source" if source is None else "the sink"
    return TableComparison(table, 0, 0, structure=f"there is no such table on {where}")


def _structure(source: TableShape, sink: TableShape) -> str:
    if source == sink:
        return ""
    for left, right in zip(source.columns, sink.columns, strict=False):
        if left != right:
            return f"columns differ: {left} in the source, {right} in the sink"
    if len(source.columns) != len(sink.columns):
        return f"{len(source.columns)} columns in the source, {len(sink.columns)} in the sink"
    return "primary keys differ"


def _show_value(value: bytes | None) -> str:
    if value is None:
        return "NULL"
    try:
        text = repr(value.decode())
    except UnicodeDecodeError:
        text = f"0x{value.hex()}"
    return text if len(text) <= _VALUE_WIDTH else f"{text[:_VALUE_WIDTH]}… ({len(value)} bytes)"


def _show(names: Sequence[str], row: Sequence[bytes | None]) -> str:
    return ", ".join(f"{name}={_show_value(value)}" for name, value in zip(names, row, strict=True))


def _show_change(
    names: Sequence[str],
    sink_names: Sequence[str],
    key: Sequence[int],
    source: Sequence[bytes | None],
    sink: Sequence[bytes | None],
) -> str:
    """Only the key and what differs. Columns are paired by their names: the two may have others."""
    where = _show([names[at] for at in key], [source[at] for at in key])
    left, right = dict(zip(names, source, strict=True)), dict(zip(sink_names, sink, strict=True))
    changes = [
        f"{name} {_show_cell(left, name)} in the source, {_show_cell(right, name)} in the sink"
        for name in {**left, **right}
        if _show_cell(left, name) != _show_cell(right, name) or left.get(name) != right.get(name)
    ]
    return f"{where}: {'; '.join(changes) or 'the same values in another order of columns'}"


def _show_cell(row: dict[str, bytes | None], name: str) -> str:
    return _show_value(row[name]) if name in row else "(no such column)"
