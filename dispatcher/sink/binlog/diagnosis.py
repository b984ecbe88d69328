"""Which row a sink has refused, out of a batch of many: found by applying the batch again in a transaction that is
rolled back, one row at a time. On the error path only. What cannot be found out is left out, and never hides the error
itself.

Used by the lane's thread, on the lane's session; nothing of the batch is committed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pymysql
import structlog

from hedgerow.common.binlog import events as e
from hedgerow.common.binlog.table_map import table_name
from hedgerow.common.mysql.names import TableName
from hedgerow.dispatcher.sink.api import Batch, Marker, Rows
from hedgerow.dispatcher.sink.binlog.rowtext import RowText, UnreadableRow, Value, rows
from hedgerow.dispatcher.sink.binlog.session import SinkSession
from hedgerow.dispatcher.sink.refusals import Refused
from hedgerow.dispatcher.source.marks import gtid_text

MOST_SECONDS = 20.0  # that the search may take
MOST_COLUMNS = 8  # that are shown of a table without a key
_WORDS = {"write": "insert", "update": "update", "delete": "delete"}
_COLUMNS = (
    "SELECT COLUMN_NAME, COLUMN_TYPE LIKE '%unsigned%', COLUMN_KEY = 'PRI' FROM information_schema.COLUMNS"
    " WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {} ORDER BY ORDINAL_POSITION"
)

log = structlog.get_logger()


def find(session: SinkSession, batch: Batch, number: int) -> Refused | None:
    """The row at which the sink says error `number`. None where it does not come again, or was not found in time."""
    deadline = time.monotonic() + MOST_SECONDS
    try:
        session.rollback()
        session.describe(batch.format_description)
        return _find(session, batch, number, deadline)
    except (pymysql.MySQLError, OSError) as error:
        log.info("refused row not found", error=str(error))
    except Exception:  # a defect here must not hide what the sink has said
        log.exception("refused row not found")
    return None


def _find(session: SinkSession, batch: Batch, number: int, deadline: float) -> Refused | None:
    count = 0
    for item in batch.items:
        if isinstance(item, Marker):
            continue
        if not isinstance(item, Rows):
            return None
        maps: dict[bytes, bytes] = {}
        for event in split(item.events):
            if event[e.TYPE_AT] == e.TABLE_MAP:
                maps[event[e.TABLE_ID]] = event
                continue
            table_map = maps[event[e.TABLE_ID]]
            for row, alone in _singly(table_map, event):
                if time.monotonic() > deadline:
                    return None
                try:
                    session.apply(table_map + alone)
                except pymysql.MySQLError as error:
                    if error.args[0] != number:
                        return None
                    session.rollback()
                    return _describe(session, batch, count, table_map, event, row)
            count += 1
    return None


def _singly(table_map: bytes, event: bytes) -> Iterator[tuple[RowText | None, bytes]]:
    """Its rows with an event of each; the whole event where they cannot be told apart."""
    try:
        found = list(rows(table_map, event))
    except UnreadableRow as unreadable:
        log.info("rows not readable", reason=str(unreadable))
        yield None, _ended(event)
        return
    for row in found:
        yield row, _ended(row.alone)


def _ended(event: bytes) -> bytes:
    ended = bytearray(event)
    ended[e.ROWS_FLAGS_AT] |= e.STMT_END_F
    return bytes(ended)


def split(events: bytes | bytearray) -> Iterator[bytes]:
    at = 0
    while at < len(events):
        size = int.from_bytes(events[at + e.SIZE_AT : at + e.SIZE_AT + 4], "little")
        if size < e.HEADER:
            raise ValueError(f"an event of {size} bytes")
        yield bytes(events[at : at + size])
        at += size


def _describe(
    session: SinkSession, batch: Batch, count: int, table_map: bytes, event: bytes, row: RowText | None
) -> Refused:
    table = table_name(table_map)
    kind = _WORDS[e.ROWS_KINDS[event[e.TYPE_AT]]]
    gtid, file = next(((gtid, file) for ends, gtid, file in batch.ends if count < ends), (b"", ""))
    where = _where(gtid, file, event)
    announced = (gtid_text(gtid), file, _end_of(gtid)) if gtid else None
    if row is None:
        return Refused(table, kind, "", where, "", announced)
    names: list[tuple[str, bool, bool]] = []
    try:
        escape = session.connection.escape
        found = session.execute(_COLUMNS.format(escape(table.schema), escape(table.table)))
        names = [(_plain(name), _plain(unsigned) == "1", _plain(key) == "1") for name, unsigned, key in found.rows]
        (read,) = list(rows(table_map, row.alone, [unsigned for _, unsigned, _ in names]))[:1]
    except (pymysql.MySQLError, UnreadableRow):
        read = row
    named = {names[column][0] if column < len(names) else f"@{column + 1}": v for column, v in read.values.items()}
    key = {name: named[name] for name, _, in_key in names if in_key and name in named}
    sought = {name for name, _, in_key in names if in_key} or {name for name, _, _ in names}
    told = () if kind == "insert" or not names or sought <= named.keys() else tuple(named)
    shown = dict(list((key or named).items())[:MOST_COLUMNS])
    return Refused(table, kind, _text(shown), where, _there(session, table, key, len(names)), announced, told)


def _text(values: dict[str, Value]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in values.items())


def _there(session: SinkSession, table: TableName, key: dict[str, Value], columns: int) -> str:
    """What the sink has under this key. The account need not be allowed to look."""
    if not key or any(value.number is None and value.text is None for value in key.values()):
        return ""
    escape = session.connection.escape
    terms = (f"`{name.replace('`', '``')}` = {escape(_operand(value))}" for name, value in key.items())
    try:
        found = session.execute(f"SELECT * FROM {table.quoted} WHERE {' AND '.join(terms)} LIMIT 1").rows
    except pymysql.MySQLError:
        return ""
    if not found:
        return "no such row"
    values = [_cut(value) for value in found[0][:MOST_COLUMNS]]
    return f"({', '.join(values)}{', ...' if columns > MOST_COLUMNS else ''})"


def _operand(value: Value) -> int | str:
    return value.number if value.number is not None else value.text or ""


def _plain(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _cut(value: object) -> str:
    text = "NULL" if value is None else _plain(value)
    return text if len(text) <= 64 else f"{text[:61]}..."


def _where(gtid: bytes, file: str, event: bytes) -> str:
    """`gtid`, `file`: of the source transaction; empty where it is not known."""
    if not file:
        return "its source transaction is not known"
    end = _end_of(event)
    place = f"the event that ends at {file}:{end}" if end else f"in {file}"
    named = gtid_text(gtid)
    return f"transaction {named}, {place}" if named else place


def _end_of(event: bytes) -> int:
    return int.from_bytes(event[e.LOG_POS_AT : e.LOG_POS_AT + 4], "little")
