"""The connection to the source's binlog: where to start, what the server answers, and which error each answer is.

A Reader belongs to one thread, which calls `connect` once and then `read`; `close` may come from any thread and ends a
running call. It never reconnects by itself: its owner makes a new Reader from a position that is durable in the sink,
so nothing can be skipped between what was read and what was applied.

Start: by GTID set where the position has one and the source has GTIDs (MariaDB always, MySQL with gtid_mode=ON), from
the position's file and offset on where they can be trusted (dispatcher/source/place.py); otherwise by file and offset
alone, which mean something on the server that the position is of and on no other.

Protocol: MySQL manual "COM_BINLOG_DUMP", "COM_BINLOG_DUMP_GTID"; MariaDB "Replica registration".
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
import time
import uuid
from typing import Any, Final

import pymysql
import structlog
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from common.errors import BinlogCorrupt, BinlogPurged, HistoryDiverged, SourceUnavailable, UnsupportedEvent
from common.gtid import MysqlGtidSet
from common.mysql import Flavour, ServerInfo, connect, server_info, set_timeouts, unavailable
from common.position import Position
from common.uri import ServerUri
from dispatcher.source import events as e
from dispatcher.source.framing import Framer, StreamEnded
from dispatcher.source.place import Doubted, Proof, has_place
from dispatcher.source.refusals import check_applied, check_file, check_gtids, refusal

log = structlog.get_logger()

_COM_BINLOG_DUMP: Final = 0x12
_COM_BINLOG_DUMP_GTID: Final = 0x1E
_THROUGH_GTID: Final = 4
_FIRST_EVENT: Final = 4  # offset of a binlog file's first event
_SETUP_SECONDS: Final = 10.0
_SILENT_HEARTBEATS: Final = 5
_LEAST_SILENCE_SECONDS: Final = 10.0
_RECEIVE_BUFFER: Final = 4 << 20
_IDLE_SECONDS: Final = 5.0
_QUESTION_SECONDS: Final = 2.0


class Reader:
    """Reads one source's binlog from `start`.

    `server_id`: what this reader calls itself; the source ends an older dump of the same id, so it must be unique among
    all replicas of the source. `applied`: what the sink has of this source or of one before it, where that is more than
    `start`; a source that lacks some of it is refused. `heartbeat_seconds`: the source says something at least this
    often; after five silent ones (10 s at least) it counts as dead.
    """

    def __init__(
        self,
        uri: ServerUri,
        flavour: Flavour,
        start: Position,
        *,
        server_id: int,
        applied: Position | None = None,
        heartbeat_seconds: float = 1.0,
    ) -> None:
        self._uri = uri
        self._flavour: Flavour = flavour
        self._start = start
        self._applied = applied or start
        self._server_id = server_id
        self._heartbeat = heartbeat_seconds
        self._silence = max(_LEAST_SILENCE_SECONDS, _SILENT_HEARTBEATS * heartbeat_seconds)
        self._framer = Framer()
        self._proof: Proof | None = None  # of a stream that has begun at a file and offset, though it has GTIDs
        self._connection: Connection[Cursor] | None = None
        self._socket: socket.socket | None = None
        self._poll = select.poll()
        self._wake_fd: int | None = None
        self._heard = 0.0
        self._moved = 0.0  # when something else than a heartbeat came, or the source was asked
        self._busy = threading.Lock()
        self._closed = False
        self.source: ServerInfo | None = None
        self.by_gtid = False  # how it was asked for the stream; since `connect`

    @property
    def source_id(self) -> str:
        """Of the server that was met behind the address; empty before `connect`."""
        return self.source.source_id if self.source else ""

    @property
    def format_description(self) -> bytes:
        """The source's FORMAT_DESCRIPTION event as a sink has to get it: checksums off, created at 0. Empty before the
        first `read`. The same event comes in the stream at the beginning of every file."""
        return self._framer.description

    def connect(self) -> None:
        """Connect, check that the source can continue from the start position, and ask for the stream.

        Raises SourceUnavailable, BinlogPurged, BinlogReset, HistoryDiverged, BadInput.
        """
        with self._busy:
            self._open(may_use_place=True)

    def read(self, timeout: float, wake_fd: int | None = None) -> list[bytes]:
        """All complete events that have arrived; waits for the first for `timeout` seconds, or until `wake_fd` becomes
        readable (nobody reads from it here), and then returns [].

        Events are whole, plain (never compressed), without checksum, their event_size is that of what is returned; all
        kinds come, heartbeats too. Raises SourceUnavailable, BinlogPurged, BinlogReset, HistoryDiverged, BinlogCorrupt,
        UnsupportedEvent.
        """
        with self._busy:
            self._check_open()
            if self._socket is None:
                raise RuntimeError("read before connect")
            deadline = time.monotonic() + timeout
            try:
                try:
                    return self._next(deadline, wake_fd)
                except (Doubted, StreamEnded, BinlogCorrupt, UnsupportedEvent) as doubt:
                    if self._proof is None or self._proof.done:
                        raise
                    self._begin_by_gtid(doubt)
                    return self._next(deadline, wake_fd)
            except StreamEnded as end:
                self._check_open()
                raise refusal(self._uri.address, self._start, end.code, end.text) from end
            except OSError as error:
                self._check_open()
                raise unavailable(self._uri, "source", error) from error

    def ready(self) -> bool:
        """Whether `read` would find something without waiting. Only for the thread that reads."""
        return self._framer.more or (self._socket is not None and self._readable(0, None))

    def close(self) -> None:
        """End the stream; a running `connect` or `read` of another thread raises SourceUnavailable. Idempotent."""
        self._closed = True
        connection = self._connection
        raw = vars(connection).get("_sock") if connection else None
        if raw is not None:
            with contextlib.suppress(OSError):
                raw.shutdown(socket.SHUT_RDWR)
        with self._busy:
            if self._connection is not None:
                self._connection._force_close()  # type: ignore[attr-defined]
                self._connection = self._socket = None

    def _open(self, *, may_use_place: bool) -> None:
        try:
            connection = connect(self._uri, "source", read_timeout=_SETUP_SECONDS)
            self._connection = connection
            self._check_open()
            self._request_dump(connection, may_use_place)
        except (pymysql.MySQLError, OSError) as error:
            raise unavailable(self._uri, "source", error) from error
        raw = vars(connection)["_sock"]
        assert isinstance(raw, socket.socket)
        raw.setblocking(False)  # TLS hands out whole records: what poll sees may be a part of one, or none of ours
        self._socket = raw
        self._poll.register(raw, select.POLLIN)
        self._heard = self._moved = time.monotonic()

    def _begin_by_gtid(self, doubt: Exception) -> None:
        """Nothing that came was of any transaction, so that the stream begins anew unnoticed."""
        assert self._connection is not None
        log.info("source-place-doubted", source=self._uri.address, position=str(self._start), doubt=str(doubt))
        former = self.source_id
        self._poll.unregister(self._socket)  # type: ignore[arg-type]
        self._connection._force_close()  # type: ignore[attr-defined]
        self._framer = Framer()
        self._open(may_use_place=False)
        if self.source_id != former:
            raise SourceUnavailable(f"source {self._uri.address} has become another server while a stream began")

    def _next(self, deadline: float, wake_fd: int | None) -> list[bytes]:
        while True:
            if self._framer.more:
                events = self._framer.cut()
                if events:
                    if self._proof is not None:
                        self._proof.judge(events)
                    self._watch(events[-1])
                    return events
            elif not self._receive(deadline, wake_fd):
                return []

    def _check_open(self) -> None:
        if self._closed:
            raise SourceUnavailable(f"the stream from source {self._uri.address} was closed")

    def _request_dump(self, connection: Connection[Cursor], may_use_place: bool) -> None:
        source = self.source = server_info(connection)
        if source.flavour != self._flavour:
            raise HistoryDiverged(
                f"source {self._uri.address} is {source}, but the changefeed was created for {self._flavour}: create a "
                f"new changefeed for this server"
            )
        start = self._start
        by_gtid = self.by_gtid = check_gtids(connection, source, self._uri.address, start, self._applied)
        if not by_gtid:
            check_file(connection, source, self._uri.address, start)
            check_file(connection, source, self._uri.address, self._applied)
        at_place = by_gtid and may_use_place and has_place(start, source.source_id, source.flavour)
        self._proof = Proof(start, source.flavour) if at_place else None
        nanoseconds = int(self._heartbeat * 1e9)
        settings = {
            "master_heartbeat_period": nanoseconds,
            "source_heartbeat_period": nanoseconds,
            "master_binlog_checksum": "CRC32",
            "source_binlog_checksum": "CRC32",
        }
        if source.flavour == "mysql":
            # A server ends an older dump that has the same uuid: two readers must never have one in common.
            settings["slave_uuid"] = settings["replica_uuid"] = str(uuid.uuid4())
        else:
            settings["mariadb_slave_capability"] = 4
            if by_gtid and not at_place:
                settings["slave_connect_state"] = start.gtid_set
                settings["slave_gtid_strict_mode"] = 1
                settings["slave_gtid_ignore_duplicates"] = 0
        with connection.cursor() as cursor:
            cursor.execute("SET " + ", ".join(f"@{name} = %s" for name in settings), list(settings.values()))
        command = self._command(by_gtid, at_place)
        set_timeouts(connection, None)
        raw = vars(connection)["_sock"]
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        raw.sendall(len(command).to_bytes(3, "little") + b"\0" + command)

    def _command(self, by_gtid: bool, at_place: bool) -> bytes:
        file, offset = b"", _FIRST_EVENT
        if at_place or not by_gtid:
            file, offset = self._start.file.encode(), self._start.offset
        if by_gtid and self._flavour == "mysql":
            gtids = MysqlGtidSet.parse(self._start.gtid_set).encode()
            head = struct.pack("<BHII", _COM_BINLOG_DUMP_GTID, _THROUGH_GTID, self._server_id, len(file))
            return head + file + struct.pack("<QI", offset, len(gtids)) + gtids
        return struct.pack("<BIHI", _COM_BINLOG_DUMP, offset, 0, self._server_id) + file

    def _receive(self, deadline: float, wake_fd: int | None) -> bool:
        """Receive something before `deadline` (monotonic); False: nothing came, or the owner was woken."""
        assert self._socket is not None
        readable = self._readable(deadline - time.monotonic(), wake_fd)
        count = None
        if readable:
            with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                count = self._socket.recv_into(self._framer.space())
        if count is None:
            silent = time.monotonic() - self._heard
            if silent > self._silence:
                raise SourceUnavailable(
                    f"source {self._uri.address} has sent nothing for {silent:.0f} s, though it was asked for a "
                    f"heartbeat every {self._heartbeat:g} s: it hangs, or the network does not deliver"
                )
            return readable
        if not count:
            self._check_open()
            raise SourceUnavailable(
                f"source {self._uri.address} has closed the connection: it was stopped or restarted"
            )
        self._framer.filled(count)
        self._heard = time.monotonic()
        return True

    def _watch(self, event: bytes) -> None:
        """While a source whose binlog was reset waits for the old one to grow, it goes on sending heartbeats, and
        nothing else, whatever is written. So it is asked when there was nothing else for a while."""
        now = time.monotonic()
        if event[e.TYPE_AT] not in (e.HEARTBEAT, e.HEARTBEAT_V2):
            self._moved = now
        elif now - self._moved >= _IDLE_SECONDS:
            self._moved = now
            self._ask(event)

    def _ask(self, heartbeat: bytes) -> None:
        """Whether the source still has what was applied. A question that it does not answer is left to the stream, and
        so is what it purges: it may do that with what was read, and between a heartbeat and the question."""
        assert self.source is not None
        with contextlib.suppress(pymysql.MySQLError, OSError, SourceUnavailable, BinlogPurged):
            connection = connect(self._uri, "source", timeout=_QUESTION_SECONDS, read_timeout=_QUESTION_SECONDS)
            with connection:
                source = server_info(connection)
                if source.source_id != self.source.source_id:
                    return  # behind the address, but not who sends: the next connection is judged
                check_applied(connection, source, self._uri.address, self._start, self._applied)
                if heartbeat[e.TYPE_AT] == e.HEARTBEAT:
                    file = heartbeat[e.HEADER :].decode("utf-8", "replace")
                    offset = int.from_bytes(heartbeat[e.LOG_POS_AT : e.LOG_POS_AT + 4], "little")
                    read = Position(file=file, offset=offset, source_id=source.source_id)
                    check_file(connection, source, self._uri.address, read)

    def _readable(self, seconds: float, wake_fd: int | None) -> bool:
        pending: Any = getattr(self._socket, "pending", None)  # TLS may hold bytes that poll does not see
        if pending is not None and pending():
            return True
        if wake_fd != self._wake_fd:
            if self._wake_fd is not None:
                self._poll.unregister(self._wake_fd)
            if wake_fd is not None:
                self._poll.register(wake_fd, select.POLLIN)
            self._wake_fd = wake_fd
        found = self._poll.poll(max(0, int(seconds * 1000)))
        return any(fd != wake_fd for fd, _ in found)
