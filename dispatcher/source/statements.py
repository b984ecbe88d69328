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

from pymysql.charset import charset_by_id

from common.errors import BinlogCorrupt, UnsupportedEvent
from common.sinkschema import is_ddl_thread_id
from dispatcher.source import events as e


class Kind(enum.Enum):
    """What a query event is to a stream of rows."""

    BEGIN = enum.auto()
    COMMIT = enum.auto()
    ROLLBACK = enum.auto()
    XA = enum.auto()
    IGNORABLE = enum.auto()  # savepoints, temporary tables, placeholders
    CHANGE = enum.auto()  # a change of rows, logged as a statement
    DEFINITION = enum.auto()  # everything else: DDL


_WORDS: Final = {
    "BEGIN": Kind.BEGIN,
    "START": Kind.BEGIN,
    "COMMIT": Kind.COMMIT,
    "ROLLBACK": Kind.ROLLBACK,
    "XA": Kind.XA,
    "SAVEPOINT": Kind.IGNORABLE,
    "RELEASE": Kind.IGNORABLE,
    **dict.fromkeys(("INSERT", "UPDATE", "DELETE", "REPLACE", "LOAD", "CALL", "DO", "WITH", "SELECT"), Kind.CHANGE),
}
# Comments are skipped, the openings of executable ones too; MariaDB's "# Dummy event ..." becomes empty.
_LEADING: Final = re.compile(rb"(?:\s+|/\*M?!\d*|/\*.*?\*/|(?:--\s|#)[^\n]*(?:\n|\Z))*", re.DOTALL)
_TEMPORARY: Final = re.compile(r"(?:CREATE|DROP)\s+(?:OR\s+REPLACE\s+)?(?:/\*!\d+\s+)?TEMPORARY\b", re.IGNORECASE)
_START_TRANSACTION: Final = re.compile(r"\s+START\s+TRANSACTION\s*\Z", re.IGNORECASE)
_HEAD_BYTES: Final = 400

# Bits of FLAGS2; a set bit switches the variable off where `inverted` says so.
_FLAGS2: Final = (
    ("sql_auto_is_null", 1 << 14, False),
    ("foreign_key_checks", 1 << 26, True),
    ("unique_checks", 1 << 27, True),
)
_MARIADB_IF_EXISTS: Final = ("sql_if_exists", 1 << 28)
_ALTER_PHASES: Final = {2: "start", 4: "commit", 8: "rollback"}
_MANY_SCHEMAS: Final = 254

# MariaDB's UCA 14.0.0 collations have ids that PyMySQL does not know: 256 for each character set from 2048 on.
_UCA1400_FIRST: Final = 2048
_UCA1400: Final = ("utf-8", "utf-8", "utf-16-be", "utf-16-be", "utf-32-be")


@dataclass(frozen=True, slots=True)
class Statement:
    """A DDL statement at its place. `offset` is its end in `file`, in bytes; `gtid` is its own, empty without GTIDs.

    `session`: variables to SET before it is executed, so that it means what it meant on the source; character sets and
    collations are numbers, which both servers accept. `text` is decoded: execute it on a connection whose
    character_set_client fits the text as it is sent.
    `rows_follow`: it is part of a transaction that goes on (CREATE TABLE ... SELECT); the position does not move at it.
    `is_ours`: a changefeed into this source has executed it; where that changefeed came from has it already.
    `alter_phase`: of MariaDB's two-phase ALTER: start, commit, rollback, or empty.
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


def plain_text(event: bytes, at: int) -> str:
    """The beginning of the text behind its leading comments, for telling what kind it is."""
    match = _LEADING.match(event, at)
    start = match.end() if match else at
    return event[start : start + _HEAD_BYTES].decode("latin-1").rstrip("; \t\r\n")


def statement_kind(text: str) -> Kind:
    word = re.match(r"[A-Za-z]*", text)
    if not text or _TEMPORARY.match(text):
        return Kind.IGNORABLE
    return _WORDS.get(word[0].upper(), Kind.DEFINITION) if word else Kind.DEFINITION


def read_statement(event: bytes, text_at: int, file: str, gtid: str, inside: bool) -> Statement:
    """Read a query event that holds DDL. Raises UnsupportedEvent, BinlogCorrupt."""
    timestamp, _, _, _, log_pos = struct.unpack_from("<IBIII", event)
    schema_length = event[e.HEADER + 8]
    schema_at = text_at - 1 - schema_length
    where = f"the statement that ends at {file}:{log_pos}"
    reader = _StatusVariables(event[e.HEADER + 13 : schema_at], where)
    session: dict[str, int | float | str] = {"timestamp": timestamp + reader.micros / 1e6, **reader.session}
    text = _decode(event[text_at:], reader.client, where)
    if inside:  # MySQL says so in the text, for replicas only
        text = _START_TRANSACTION.sub("", text)
    return Statement(
        text=text,
        default_schema=event[schema_at : text_at - 1].decode("utf-8"),
        gtid=gtid,
        file=file,
        offset=log_pos,
        timestamp=timestamp,
        session=session,
        rows_follow=inside,
        alter_phase=reader.alter_phase,
        is_ours=is_ddl_thread_id(struct.unpack_from("<I", event, e.HEADER)[0]),
        event=event,
    )


def _decode(text: bytes, collation: int, where: str) -> str:
    encoding = "utf-8"
    if _UCA1400_FIRST <= collation < _UCA1400_FIRST + 256 * len(_UCA1400):
        encoding = _UCA1400[(collation - _UCA1400_FIRST) // 256]
    elif collation:
        try:
            encoding = charset_by_id(collation & 0x3FF).encoding  # MariaDB's NOPAD collations: id + 1024
        except KeyError:
            raise UnsupportedEvent(f"{where} is in character set number {collation}, which is not known") from None
    try:
        return text.decode(encoding)
    except UnicodeDecodeError as error:
        raise UnsupportedEvent(
            f"{where} cannot be read as {encoding}: {error}. Execute it in the sink by hand"
        ) from error


class _StatusVariables:
    """The status variables of one query event: `session`, `client` (collation number, 0: not said), `micros`."""

    def __init__(self, data: bytes, where: str) -> None:
        self.session: dict[str, int | str] = {}
        self.client = 0
        self.micros = 0
        self.alter_phase = ""
        at = 0
        try:
            while at < len(data):
                at = self._read(data, at + 1, data[at], where)
        except (IndexError, struct.error) as error:
            raise BinlogCorrupt(f"{where} has damaged status variables") from error

    def _read(self, data: bytes, at: int, code: int, where: str) -> int:
        session = self.session
        match code:
            case 0:  # FLAGS2
                (flags,) = struct.unpack_from("<I", data, at)
                for name, bit, inverted in _FLAGS2:
                    session[name] = int(bool(flags & bit) != inverted)
                if flags & _MARIADB_IF_EXISTS[1]:
                    session[_MARIADB_IF_EXISTS[0]] = 1
                return at + 4
            case 1:  # SQL_MODE
                (session["sql_mode"],) = struct.unpack_from("<Q", data, at)
                return at + 8
            case 2:  # CATALOG with a NUL
                return at + data[at] + 2
            case 3 | 10:  # AUTO_INCREMENT, MASTER_DATA_WRITTEN
                return at + 4
            case 4:  # CHARSET
                self.client, connection, server = struct.unpack_from("<HHH", data, at)
                session.update(
                    character_set_client=self.client, collation_connection=connection, collation_server=server
                )
                return at + 6
            case 5:  # TIME_ZONE
                session["time_zone"] = data[at + 1 : at + 1 + data[at]].decode("ascii")
                return at + data[at] + 1
            case 6:  # CATALOG_NZ
                return at + data[at] + 1
            case 7:  # LC_TIME_NAMES
                (session["lc_time_names"],) = struct.unpack_from("<H", data, at)
                return at + 2
            case 8:  # CHARSET_DATABASE
                (session["collation_database"],) = struct.unpack_from("<H", data, at)
                return at + 2
            case 9 | 17 | 129:  # TABLE_MAP_FOR_UPDATE, DDL_LOGGED_WITH_XID, MariaDB's XID
                return at + 8
            case 11:  # INVOKER: user, host
                at += data[at] + 1
                return at + data[at] + 1
            case 12:  # UPDATED_DB_NAMES: count, names with a NUL each
                count, at = data[at], at + 1
                for _ in range(0 if count == _MANY_SCHEMAS else count):
                    end = data.find(b"\0", at)
                    if end < 0:
                        raise IndexError(at)
                    at = end + 1
                return at
            case 13 | 128:  # MICROSECONDS, MariaDB's HRNOW
                self.micros = int.from_bytes(data[at : at + 3], "little")
                return at + 3
            case 16:  # EXPLICIT_DEFAULTS_FOR_TIMESTAMP
                session["explicit_defaults_for_timestamp"] = data[at]
                return at + 1
            case 18:  # DEFAULT_COLLATION_FOR_UTF8MB4
                (session["default_collation_for_utf8mb4"],) = struct.unpack_from("<H", data, at)
                return at + 2
            case 19:  # SQL_REQUIRE_PRIMARY_KEY
                session["sql_require_primary_key"] = data[at]
                return at + 1
            case 20:  # DEFAULT_TABLE_ENCRYPTION
                session["default_table_encryption"] = data[at]
                return at + 1
            case 130:  # MariaDB's GTID_FLAGS3
                (flags,) = struct.unpack_from("<H", data, at)
                self.alter_phase = next((phase for bit, phase in _ALTER_PHASES.items() if flags & bit), "")
                return at + (10 if flags & 0x0C else 2)
            case 131:  # MariaDB's CHARACTER_SET_COLLATIONS: count, pairs of character set and collation
                return at + 1 + 4 * data[at]
        raise UnsupportedEvent(
            f"{where} has the unknown status variable {code}: it may change what the statement means"
        )
