"""Query events: what kind of statement it is, and what a DDL statement needs to be executed alike in the sink.

Layout (mysql-server, class Query_event; MariaDB, Query_log_event): post-header of thread id 4, execution time 4, length
of the schema 1, error code 2, length of the status variables 2; then the status variables, the schema and a NUL, and
the text up to the event's end. The text is in character_set_client of the session that ran it.
"""

from __future__ import annotations

import enum
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hedgerow.common.binlog import events as e
from hedgerow.common.errors import UnsupportedEvent
from hedgerow.common.ledger.schema import is_ddl_thread_id
from hedgerow.common.mysql.connect import Flavour
from hedgerow.dispatcher.source.charsets import charset_of, decode
from hedgerow.dispatcher.source.context import Context
from hedgerow.dispatcher.source.written import Unspeakable, in_one_charset


class StatementKind(enum.Enum):
    """What a query event is to a stream of rows."""

    BEGIN = enum.auto()
    COMMIT = enum.auto()
    ROLLBACK = enum.auto()
    XA = enum.auto()
    IGNORABLE = enum.auto()  # savepoints, temporary tables, placeholders
    CHANGE = enum.auto()  # a change of rows, logged as a statement
    DEFINITION = enum.auto()  # everything else: DDL


_WORDS: Final = {
    "BEGIN": StatementKind.BEGIN,
    "START": StatementKind.BEGIN,
    "COMMIT": StatementKind.COMMIT,
    "ROLLBACK": StatementKind.ROLLBACK,
    "XA": StatementKind.XA,
    "SAVEPOINT": StatementKind.IGNORABLE,
    "RELEASE": StatementKind.IGNORABLE,
    **dict.fromkeys(
        ("INSERT", "UPDATE", "DELETE", "REPLACE", "LOAD", "CALL", "DO", "WITH", "SELECT"), StatementKind.CHANGE
    ),
}
# Comments are skipped, the openings of executable ones too; MariaDB's "# Dummy event ..." becomes empty.
_LEADING: Final = re.compile(rb"(?:\s+|/\*M?!\d*|/\*.*?\*/|(?:--\s|#)[^\n]*(?:\n|\Z))*", re.DOTALL)
_TEMPORARY: Final = re.compile(r"(?:CREATE|DROP)\s+(?:OR\s+REPLACE\s+)?(?:/\*!\d+\s+)?TEMPORARY\b", re.IGNORECASE)
_START_TRANSACTION: Final = re.compile(rb"\s+START\s+TRANSACTION\s*\Z", re.IGNORECASE)
_UTF8MB4: Final = 45
_HEAD_BYTES: Final = 400


@dataclass(frozen=True, slots=True)
class Statement:
    """A DDL statement at its place. `offset` is its end in `file`, in bytes; `gtid` is its own, empty without GTIDs.

    `session`: variables to SET before it is executed, so that it means what it meant on the source; collations are
    numbers, which both servers accept. `raw` is the text as the server has to get it, in the character set of
    session["character_set_client"]; `text` is for reading. `error_code`: it failed so, after a part of it was done.
    `rows_follow`: it is part of a transaction that goes on (CREATE TABLE ... SELECT); the position does not move at it.
    `is_ours`: a changefeed into this source has executed it; where that changefeed came from has it already.
    `alter_phase`: of MariaDB's two-phase ALTER: start, commit, rollback, or empty.
    `schemas`: all whose tables it changes, where MySQL says so. `skipped`: a user has left its transaction out.
    """

    text: str
    default_schema: str
    gtid: str
    file: str
    offset: int
    timestamp: int
    session: Mapping[str, int | float | str]
    rows_follow: bool
    alter_phase: str
    is_ours: bool
    event: bytes
    raw: bytes
    error_code: int
    schemas: tuple[str, ...] | None = None
    skipped: bool = False


def plain_text(event: bytes, at: int) -> str:
    """The beginning of the text after its leading comments, for telling what kind it is."""
    match = _LEADING.match(event, at)
    start = match.end() if match else at
    return event[start : start + _HEAD_BYTES].decode("latin-1").rstrip("; \t\r\n")


def statement_kind(text: str) -> StatementKind:
    word = re.match(r"[A-Za-z]*", text)
    if not text or _TEMPORARY.match(text):
        return StatementKind.IGNORABLE
    return _WORDS.get(word[0].upper(), StatementKind.DEFINITION) if word else StatementKind.DEFINITION


def changed_at(mapped: bytes, end: bytes) -> int:
    """When a transaction's last statement changed rows or a definition, in seconds since 1970, 0 where it cannot be
    told: the same on every server that has it. MariaDB's replicas log a transaction as committed at that time, and not
    when it was. `mapped`: its last table map, or empty; `end`: the event that ends it."""
    if mapped:
        return int(struct.unpack_from("<I", mapped)[0])
    is_query = end[e.TYPE_AT : e.TYPE_AT + 1] == bytes([e.QUERY])
    if is_query and statement_kind(plain_text(end, e.query_text_at(end))) == StatementKind.DEFINITION:
        return int(struct.unpack_from("<I", end)[0])
    return 0


def read_statement(
    event: bytes, text_at: int, file: str, gtid: str, inside: bool, flavour: Flavour, *, of_rows: bool = False
) -> Statement:
    """Read a query event that holds DDL, or a change of rows (`of_rows`). Raises UnsupportedEvent, BinlogCorrupt."""
    timestamp, _, _, _, log_pos, flags = struct.unpack_from("<IBIIIH", event)
    thread_id, _, schema_length, error_code = struct.unpack_from("<IIBH", event, e.HEADER)
    schema_at = text_at - 1 - schema_length
    where = f"the statement that ends at {file}:{log_pos}"
    context = Context(flavour, flags, event[e.QUERY_VARIABLES_AT : schema_at], where, of_rows=of_rows)
    raw, client = event[text_at:], context.client or _UTF8MB4
    if inside:  # MySQL says so in the text, for replicas only
        raw = _START_TRANSACTION.sub(b"", raw)
    charset = charset_of(client)
    if charset is None:
        raise UnsupportedEvent(
            f"{where} is in a character set that is not known: its character_set_client is number {client}. Execute it "
            "in the sink by hand"
        )
    try:
        raw, charset = in_one_charset(raw, charset, flavour, inside=inside, flags=flags)
    except Unspeakable as error:
        raise UnsupportedEvent(f"{where} is in two character sets: {error}. Execute it in the sink by hand") from error
    return Statement(
        text=decode(raw, charset),
        default_schema=event[schema_at : text_at - 1].decode("utf-8"),
        gtid=gtid,
        file=file,
        offset=log_pos,
        timestamp=timestamp,
        session={
            "timestamp": timestamp + context.micros / 1e6,
            **context.session,
            "character_set_client": charset,
        },
        rows_follow=inside,
        alter_phase=context.alter_phase,
        is_ours=is_ddl_thread_id(thread_id),
        event=event,
        raw=raw,
        error_code=error_code,
        schemas=context.schemas,
    )
