"""Binlog event codes and the header, for both flavours.

Sources: mysql-server libs/mysql/binlog/event/binlog_event.h and MariaDB's "Replication Protocol" pages. Every type that
is not named here stops the changefeed: what is unknown is never skipped. The exception is the server's own one, an
event whose header says that a reader who does not know it may ignore it (LOG_EVENT_IGNORABLE_F).
"""

from __future__ import annotations

from typing import Final

from hedgerow.common.binlog.position import file_order
from hedgerow.common.errors import BadInput, BinlogCorrupt, UnsupportedEvent

# Header: timestamp 4, type 1, server_id 4, event_size 4, log_pos 4 (end of the event in its file), flags 2.
HEADER: Final = 19
TYPE_AT: Final = 4
SERVER_ID_AT: Final = 5
SIZE_AT: Final = 9
LOG_POS_AT: Final = 13
FLAGS_AT: Final = 17
ARTIFICIAL_F: Final = 0x20
IGNORABLE_F: Final = 0x80
CHECKSUM: Final = 4

# Table maps and rows events: table id 6, flags 2, body.
TABLE_ID: Final = slice(HEADER, HEADER + 6)
ROWS_FLAGS_AT: Final = HEADER + 6
TABLE_BODY_AT: Final = HEADER + 8
STMT_END_F: Final = 1
NO_FOREIGN_KEY_CHECKS_F: Final = 2
USE_SQL_FOREIGN_KEY_F: Final = 16  # MySQL 9.6: the server's SQL layer has cascaded

# MySQL's GTID: flags 1, uuid 16, transaction number 8. MariaDB's: sequence number 8, domain 4, flags 1.
GTID_UUID: Final = slice(HEADER + 1, HEADER + 17)
GTID_NUMBER_AT: Final = HEADER + 17
MARIADB_GTID_FLAGS_AT: Final = HEADER + 12

# QUERY: thread id 4, seconds 4, schema's length 1, error 2, status variables' length 2; these, schema, 0, text.
QUERY_SCHEMA_SIZE_AT: Final = HEADER + 8
QUERY_VARIABLES_SIZE_AT: Final = HEADER + 11
QUERY_VARIABLES_AT: Final = HEADER + 13
QUERY_LEAST: Final = QUERY_VARIABLES_AT + 1  # bytes before the text, without schema and variables

QUERY: Final = 2
STOP: Final = 3
ROTATE: Final = 4
INTVAR: Final = 5
SLAVE: Final = 7
APPEND_BLOCK: Final = 9
DELETE_FILE: Final = 11
RAND: Final = 13
USER_VAR: Final = 14
FORMAT_DESCRIPTION: Final = 15
XID: Final = 16
BEGIN_LOAD_QUERY: Final = 17
EXECUTE_LOAD_QUERY: Final = 18
TABLE_MAP: Final = 19
WRITE_ROWS_V1: Final = 23
UPDATE_ROWS_V1: Final = 24
DELETE_ROWS_V1: Final = 25
INCIDENT: Final = 26
HEARTBEAT: Final = 27
IGNORABLE: Final = 28
ROWS_QUERY: Final = 29
WRITE_ROWS: Final = 30
UPDATE_ROWS: Final = 31
DELETE_ROWS: Final = 32
GTID: Final = 33
ANONYMOUS_GTID: Final = 34
PREVIOUS_GTIDS: Final = 35
TRANSACTION_CONTEXT: Final = 36
VIEW_CHANGE: Final = 37
XA_PREPARE: Final = 38
PARTIAL_UPDATE_ROWS: Final = 39
TRANSACTION_PAYLOAD: Final = 40
HEARTBEAT_V2: Final = 41
GTID_TAGGED: Final = 42
ANNOTATE_ROWS: Final = 160
BINLOG_CHECKPOINT: Final = 161
MARIADB_GTID: Final = 162
GTID_LIST: Final = 163
START_ENCRYPTION: Final = 164
QUERY_COMPRESSED: Final = 165
WRITE_ROWS_COMPRESSED_V1: Final = 166
UPDATE_ROWS_COMPRESSED_V1: Final = 167
DELETE_ROWS_COMPRESSED_V1: Final = 168
WRITE_ROWS_COMPRESSED: Final = 169
UPDATE_ROWS_COMPRESSED: Final = 170
DELETE_ROWS_COMPRESSED: Final = 171

# They hold nothing that a sink has to have. TRANSACTION_CONTEXT and VIEW_CHANGE concern members of a replication group;
# START_ENCRYPTION describes the file, the server sends its events decrypted.
IGNORED: Final = frozenset(
    {
        INTVAR,  # these three say what a statement meant that follows, and that is judged itself
        RAND,
        USER_VAR,
        STOP,
        HEARTBEAT,
        HEARTBEAT_V2,
        IGNORABLE,
        ROWS_QUERY,
        PREVIOUS_GTIDS,
        TRANSACTION_CONTEXT,
        VIEW_CHANGE,
        ANNOTATE_ROWS,
        BINLOG_CHECKPOINT,
        GTID_LIST,
        START_ENCRYPTION,
    }
)

NAMES: Final = {
    value: name
    for name, value in globals().copy().items()
    if isinstance(value, int) and not name.startswith("_") and not name.endswith(("_AT", "_F"))
    if name not in ("HEADER", "CHECKSUM")
}

WRITE, UPDATE, DELETE = "write", "update", "delete"
# What rows events do: v1 (MariaDB, and MySQL with log_bin_use_v1_row_events), v2 (MySQL), and its partial JSON updates.
ROWS_KINDS: Final = {
    WRITE_ROWS_V1: WRITE,
    UPDATE_ROWS_V1: UPDATE,
    DELETE_ROWS_V1: DELETE,
    WRITE_ROWS: WRITE,
    UPDATE_ROWS: UPDATE,
    DELETE_ROWS: DELETE,
    PARTIAL_UPDATE_ROWS: UPDATE,
}
ROWS: Final = frozenset(ROWS_KINDS)
ROWS_V2: Final = frozenset({WRITE_ROWS, UPDATE_ROWS, DELETE_ROWS, PARTIAL_UPDATE_ROWS})  # have extra data before rows

_LONGEST_FILE: Final = 512  # characters: hedgerow.progress, binlog_file
_FIXES: Final = {
    INCIDENT: "the source may have lost transactions: copy the data again and create the changefeed again",
    APPEND_BLOCK: "LOAD DATA was logged as a statement: SET GLOBAL binlog_format = ROW on the source",
    DELETE_FILE: "LOAD DATA was logged as a statement: SET GLOBAL binlog_format = ROW on the source",
    BEGIN_LOAD_QUERY: "LOAD DATA was logged as a statement: SET GLOBAL binlog_format = ROW on the source",
    EXECUTE_LOAD_QUERY: "LOAD DATA was logged as a statement: SET GLOBAL binlog_format = ROW on the source",
}


def type_name(kind: int) -> str:
    return f"{NAMES[kind]} ({kind})" if kind in NAMES else f"type {kind}"


def query_text_at(event: bytes) -> int:
    """Where the text of a QUERY event begins, which is the rest of it."""
    at = QUERY_VARIABLES_SIZE_AT
    return QUERY_LEAST + event[QUERY_SCHEMA_SIZE_AT] + event[at] + 256 * event[at + 1]


def rotated_to(event: bytes) -> str:
    """The binlog file that a ROTATE event names; raises BinlogCorrupt."""
    try:
        file = event[HEADER + 8 :].decode("utf-8")
        if len(file) > _LONGEST_FILE or not file_order(file)[0].isprintable():
            raise ValueError(file[:80])
    except (ValueError, BadInput) as error:
        raise BinlogCorrupt(
            f"the next binlog file has no name that a file can have ({error}): the stream is damaged"
        ) from error
    return file


def unsupported(kind: int, file: str, offset: int) -> UnsupportedEvent:
    """The error for an event that cannot be replicated; `offset` is the event's end in `file`, in bytes."""
    fix = _FIXES.get(kind, "this version does not know what it means, and skips nothing that it does not know")
    return UnsupportedEvent(f"event {type_name(kind)} that ends at {file}:{offset}: {fix}", (file, offset))
