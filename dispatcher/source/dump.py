"""How a source is asked for its binlog, and a short look into it beside the stream.

Protocol: MySQL manual "COM_BINLOG_DUMP", "COM_BINLOG_DUMP_GTID"; MariaDB "Replica registration".
"""

from __future__ import annotations

import random
import socket
import struct
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pymysql
from pymysql.connections import Connection

from hedgerow.common.binlog.gtid import MysqlGtidSet
from hedgerow.common.errors import BinlogCorrupt, SourceUnavailable
from hedgerow.common.mysql.connect import Flavour, connect, unavailable
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.dispatcher.source.framing import Framer, StreamEnded

FIRST_EVENT: Final = 4  # offset of a binlog file's first event
_COM_BINLOG_DUMP: Final = 0x12
_COM_BINLOG_DUMP_GTID: Final = 0x1E
_NON_BLOCK: Final = 1  # the server ends the stream where its binlog ends
_THROUGH_GTID: Final = 4
_LOOK_SECONDS: Final = 20.0  # that a server may be silent while it looks for a GTID
_HEARTBEAT_SECONDS: Final = 5.0


def prepare(connection: Connection[Any], flavour: Flavour, heartbeat_seconds: float, gtids: str | None = None) -> None:
    """What a session says of itself before it asks. `gtids`: MariaDB is to begin after this set."""
    nanoseconds = int(heartbeat_seconds * 1e9)
    settings: dict[str, object] = {
        "master_heartbeat_period": nanoseconds,
        "source_heartbeat_period": nanoseconds,
        "master_binlog_checksum": "CRC32",
        "source_binlog_checksum": "CRC32",
    }
    if flavour == "mysql":
        # A server ends an older dump that has the same uuid: two readers must never have one in common.
        settings["slave_uuid"] = settings["replica_uuid"] = str(uuid.uuid4())
    else:
        settings["mariadb_slave_capability"] = 4
        if gtids is not None:
            settings["slave_connect_state"] = gtids
            settings["slave_gtid_strict_mode"] = 1
            settings["slave_gtid_ignore_duplicates"] = 0
    with connection.cursor() as cursor:
        cursor.execute("SET " + ", ".join(f"@{name} = %s" for name in settings), list(settings.values()))


def by_place(file: str, offset: int, server_id: int, *, flags: int = 0) -> bytes:
    """The command; without a file, MariaDB begins after the set that `prepare` has named."""
    return struct.pack("<BIHI", _COM_BINLOG_DUMP, offset, flags, server_id) + file.encode()


def by_gtids(gtids: MysqlGtidSet, file: str, offset: int, server_id: int, *, flags: int = 0) -> bytes:
    """The command of MySQL; without a file, the server looks for the first transaction that is not in the set."""
    name, encoded = file.encode(), gtids.encode()
    head = struct.pack("<BHII", _COM_BINLOG_DUMP_GTID, _THROUGH_GTID | flags, server_id, len(name))
    return head + name + struct.pack("<QI", offset, len(encoded)) + encoded


def send(raw: socket.socket, command: bytes) -> None:
    raw.sendall(len(command).to_bytes(3, "little") + b"\0" + command)


@contextmanager
def look(uri: ServerUri, flavour: Flavour, place: tuple[str, int] | None, gtids: str = "") -> Iterator[Iterator[bytes]]:
    """The events from `place` on, or (MySQL) those of the transactions that are not in `gtids`, to the binlog's end.

    Raises SourceUnavailable; StreamEnded where the server refuses; BinlogCorrupt, UnsupportedEvent.
    """
    try:
        connection = connect(uri, "source", read_timeout=_LOOK_SECONDS)
        try:
            prepare(connection, flavour, _HEARTBEAT_SECONDS)
            server_id = random.randrange(1 << 30, 1 << 32)
            if place is not None:
                command = by_place(*place, server_id, flags=_NON_BLOCK)
            else:
                command = by_gtids(MysqlGtidSet.parse(gtids), "", FIRST_EVENT, server_id, flags=_NON_BLOCK)
            raw = vars(connection)["_sock"]
            raw.settimeout(_LOOK_SECONDS)
            send(raw, command)
            yield _events(raw, uri)
        finally:
            connection._force_close()  # type: ignore[attr-defined]
    except (pymysql.MySQLError, OSError) as error:
        raise unavailable(uri, "source", error) from error
    except (LookupError, ValueError, struct.error) as error:
        raise BinlogCorrupt(
            f"an event of the binlog of source {uri.address} does not hold together: {error!r}"
        ) from error


def _events(raw: socket.socket, uri: ServerUri) -> Iterator[bytes]:
    framer = Framer()
    while True:
        while framer.more:
            try:
                yield from framer.cut()
            except StreamEnded as end:
                if end.code:
                    raise
                return
        count = raw.recv_into(framer.space())
        if not count:
            raise SourceUnavailable(f"source {uri.address} has closed the connection: it was stopped or restarted")
        framer.filled(count)
