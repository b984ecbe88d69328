"""The session in which a statement was executed, as its query event tells it: flags, status variables, error code.

Whatever a server writes is read, ignored by name because it cannot change what the statement means, or refused by name.
Layouts: MySQL, Query_event (statement_events.h) and log_event.h; MariaDB, Query_log_event::write (log_event_server.cc)
and OPTIONS_WRITTEN_TO_BIN_LOG. What a replica does with a variable that an event has not is the sink's (ddl_session).
"""

from __future__ import annotations

import struct
from typing import Final

from hedgerow.common.errors import BinlogCorrupt, UnsupportedEvent
from hedgerow.common.mysql.connect import Flavour

# Flags in the event's header that say nothing about what the statement means: thread specific, suppress USE,
# artificial, relay log, ignorable, no filter, isolate (MySQL); skip replication, accept own (MariaDB); old ones.
_HEADER_FLAGS: Final = 0x01 | 0x02 | 0x04 | 0x08 | 0x10 | 0x20 | 0x40 | 0x80 | 0x100 | 0x200 | 0x4000 | 0x8000

# Bits of FLAGS2; a set bit switches the variable off where the last value says so.
_FLAGS2: Final = (("sql_auto_is_null", 14, False), ("foreign_key_checks", 26, True), ("unique_checks", 27, True))
_MARIADB_FLAGS2: Final = (
    ("check_constraint_checks", 15, True),
    ("explicit_defaults_for_timestamp", 24, False),
    ("sql_if_exists", 28, False),
    ("system_versioning_insert_history", 30, False),
)
_NOT_AUTOCOMMIT: Final = 19  # of no meaning to DDL, and never set: the servers mask it

_ALTER_PHASES: Final = {2: "start", 4: "commit", 8: "rollback"}
_ALTER_PHASE_HAS_NUMBER: Final = 4 | 8
_MANY_SCHEMAS: Final = 254


class Context:
    """Of one query event. Raises UnsupportedEvent, BinlogCorrupt.

    `session`: variables by name; collations are numbers. `client`: the number of its character_set_client, which is not
    in `session`; 0 where it is not said. `micros`: of its time. `alter_phase`: of MariaDB's two-phase ALTER, start,
    commit, rollback or empty. Not kept: INVOKER, since the servers write the definer into the text of what has one; the
    catalog; table maps and sizes of changes; transaction ids.
    """

    def __init__(
        self, flavour: Flavour, header_flags: int, variables: bytes, where: str, *, of_rows: bool = False
    ) -> None:
        """`of_rows`: of a statement that changes rows, and is executed by nobody."""
        self.session: dict[str, int | float | str] = {}
        self.client = 0
        self.micros = 0
        self.alter_phase = ""
        self.schemas: tuple[str, ...] | None = None  # whose tables it changes; None: not said, or too many to say
        self._is_mariadb = flavour == "mariadb"
        self._of_rows = of_rows
        self._where = where
        if header_flags & ~_HEADER_FLAGS:
            raise self._unknown(f"header flags {header_flags & ~_HEADER_FLAGS:#x}")
        at = 0
        try:
            while at < len(variables):
                at = self._read(variables, at + 1, variables[at])
        except (IndexError, struct.error, UnicodeDecodeError) as error:
            raise BinlogCorrupt(f"{where} has damaged status variables") from error
        if at > len(variables):
            raise BinlogCorrupt(f"{where} has status variables that end too early")

    def _read(self, data: bytes, at: int, code: int) -> int:
        session = self.session
        match code:
            case 0:  # FLAGS2
                self._flags(struct.unpack_from("<I", data, at)[0])
                return at + 4
            case 1:  # SQL_MODE
                (session["sql_mode"],) = struct.unpack_from("<Q", data, at)
                return at + 8
            case 2:  # CATALOG with a NUL
                return at + data[at] + 2
            case 3:  # AUTO_INCREMENT, where one of them is not 1
                session["auto_increment_increment"], session["auto_increment_offset"] = struct.unpack_from(
                    "<HH", data, at
                )
                return at + 4
            case 4:  # CHARSET
                self.client, connection, server = struct.unpack_from("<HHH", data, at)
                session.update(collation_connection=connection, collation_server=server)
                return at + 6
            case 5:  # TIME_ZONE, where the statement depends on it
                session["time_zone"] = data[at + 1 : at + 1 + data[at]].decode("utf-8")
                return at + data[at] + 1
            case 6:  # CATALOG_NZ
                return at + data[at] + 1
            case 7:  # LC_TIME_NAMES, where it is not en_US
                (session["lc_time_names"],) = struct.unpack_from("<H", data, at)
                return at + 2
            case 8:  # CHARSET_DATABASE, where it is not that of the default schema
                (session["collation_database"],) = struct.unpack_from("<H", data, at)
                return at + 2
            case 9:  # TABLE_MAP_FOR_UPDATE
                return at + 8
            case 10:  # MASTER_DATA_WRITTEN
                return at + 4
            case 11:  # INVOKER: user, host
                at += data[at] + 1
                return at + data[at] + 1
            case 12:  # UPDATED_DB_NAMES: count, names with a NUL each
                return self._updated_schemas(data, at)
        return self._read_mariadb(data, at, code) if self._is_mariadb else self._read_mysql(data, at, code)

    def _read_mysql(self, data: bytes, at: int, code: int) -> int:
        session = self.session
        match code:
            case 13:  # MICROSECONDS
                self.micros = int.from_bytes(data[at : at + 3], "little")
                return at + 3
            case 16:  # EXPLICIT_DEFAULTS_FOR_TIMESTAMP, where the statement depends on it
                session["explicit_defaults_for_timestamp"] = data[at]
                return at + 1
            case 17:  # DDL_LOGGED_WITH_XID
                return at + 8
            case 18:  # DEFAULT_COLLATION_FOR_UTF8MB4
                (session["default_collation_for_utf8mb4"],) = struct.unpack_from("<H", data, at)
                return at + 2
            case 19:  # SQL_REQUIRE_PRIMARY_KEY
                session["sql_require_primary_key"] = data[at]
                return at + 1
            case 20:  # DEFAULT_TABLE_ENCRYPTION
                session["default_table_encryption"] = data[at]
                return at + 1
            case 21 if self._of_rows:  # MySQL 9.7 has it with changes of rows only
                return at + 1
        raise self._unknown(f"status variable {code}")

    def _read_mariadb(self, data: bytes, at: int, code: int) -> int:
        match code:
            case 128:  # HRNOW
                self.micros = int.from_bytes(data[at : at + 3], "little")
                return at + 3
            case 129:  # XID
                return at + 8
            case 130:  # GTID_FLAGS3: one byte, and the number of the ALTER's start where it ends
                flags = data[at]
                phases = [phase for bit, phase in _ALTER_PHASES.items() if flags & bit]
                if flags & ~sum(_ALTER_PHASES) or len(phases) != 1:
                    raise self._unknown(f"flags of the GTID event {flags:#x}")
                (self.alter_phase,) = phases
                return at + (9 if flags & _ALTER_PHASE_HAS_NUMBER else 1)
            case 131:  # CHARACTER_SET_COLLATIONS: count, pairs of a character set's usual collation and the one set
                count = data[at]
                numbers = struct.unpack_from(f"<{2 * count}H", data, at + 1)
                pairs = zip(numbers[::2], numbers[1::2], strict=True)
                self.session["character_set_collations"] = ",".join(f"{one}={other}" for one, other in pairs)
                return at + 1 + 4 * count
        raise self._unknown(f"status variable {code}")

    def _flags(self, flags: int) -> None:
        known = 1 << _NOT_AUTOCOMMIT
        for name, bit, inverted in (*_FLAGS2, *(_MARIADB_FLAGS2 if self._is_mariadb else ())):
            known |= 1 << bit
            self.session[name] = int(bool(flags >> bit & 1) != inverted)
        if flags & ~known:
            raise self._unknown(f"options {flags & ~known:#x} (FLAGS2)")

    def _updated_schemas(self, data: bytes, at: int) -> int:
        count, at = data[at], at + 1
        names = []
        for _ in range(0 if count == _MANY_SCHEMAS else count):
            end = data.find(b"\0", at)
            if end < 0:
                raise IndexError(at)
            names.append(data[at:end].decode("utf-8"))
            at = end + 1
        self.schemas = tuple(names) or None
        return at

    def _unknown(self, what: str) -> UnsupportedEvent:
        return UnsupportedEvent(
            f"{self._where} has {what}, which this version does not know: it may change what the statement means"
        )
