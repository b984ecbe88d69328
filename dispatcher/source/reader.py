"""The connection to the source's binlog: where to start, what the server answers, and which error each answer is.

A Reader belongs to one thread, which calls `connect` once and then `read`; `close` may come from any thread and ends a
running call. It never reconnects by itself: its owner makes a new Reader from a position that is durable in the sink,
so nothing can be skipped between what was read and what was applied.

Start: by GTID set where the position has one and the source has GTIDs (MariaDB always, MySQL with gtid_mode=ON), from
the position's file and offset on where the source has proved that they mean what they meant; otherwise by file and
offset alone, which mean something on the server that the position is of and on no other. Never by numbers alone where
there is a proof to be had (dispatcher/source/history.py).
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import pymysql
import structlog
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from hedgerow.common.binlog import events as e
from hedgerow.common.binlog.gtid import MysqlGtidSet
from hedgerow.common.binlog.position import Position
from hedgerow.common.errors import BinlogPurged, HistoryDiverged, SourceUnavailable
from hedgerow.common.mysql.connect import Flavour, ServerInfo, connect, server_info, set_timeouts, unavailable
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.dispatcher.source.clock import Clock, read_clock
from hedgerow.dispatcher.source.dump import FIRST_EVENT, by_gtids, by_place, prepare, send
from hedgerow.dispatcher.source.elsewhere import Elsewhere
from hedgerow.dispatcher.source.framing import Framer, StreamEnded
from hedgerow.dispatcher.source.history import has_place, is_at_place, prove
from hedgerow.dispatcher.source.refusals import check_applied, check_file, check_gtids, check_logged, refusal

log = structlog.get_logger()

_SETUP_SECONDS: Final = 10.0
_SILENT_HEARTBEATS: Final = 5
_LEAST_SILENCE_SECONDS: Final = 10.0
_RECEIVE_BUFFER: Final = 4 << 20
_IDLE_SECONDS: Final = 5.0
_BUSY_SECONDS: Final = 30.0
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
        self._connection: Connection[Cursor] | None = None
        self._socket: socket.socket | None = None
        self._poll = select.poll()
        self._wake_fd: int | None = None
        self._heard = 0.0
        self._asked = 0.0
        self._elsewhere = Elsewhere()
        self._proven: Position | None = None  # while nothing is read
        self._moved = 0.0  # when something else than a heartbeat came, or the source was asked
        self._busy = threading.Lock()
        self._closed = False
        self.reached: Callable[[], Position] | None = None  # the end of the last whole transaction that was read
        self.source: ServerInfo | None = None
        self.clock: Clock | None = None  # the source's; since `connect`
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
            self._open()

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
                return self._next(deadline, wake_fd)
            except StreamEnded as end:
                self._check_open()
                if end.code:
                    self._ask(b"", idle=True)  # a reset looks like a damaged file to a server that is reading it
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

    def _open(self) -> None:
        try:
            connection = connect(self._uri, "source", read_timeout=_SETUP_SECONDS)
            self._connection = connection
            self._check_open()
            self._request_dump(connection)
        except (pymysql.MySQLError, OSError) as error:
            raise unavailable(self._uri, "source", error) from error
        raw = vars(connection)["_sock"]
        assert isinstance(raw, socket.socket)
        raw.setblocking(False)  # TLS hands out whole records: what poll sees may be a part of one, or none of ours
        self._socket = raw
        self._poll.register(raw, select.POLLIN)
        self._heard = self._moved = self._asked = time.monotonic()

    def _next(self, deadline: float, wake_fd: int | None) -> list[bytes]:
        while True:
            if self._framer.more:
                events = self._framer.cut()
                if events:
                    self._watch(events[-1])
                    return events
            elif not self._receive(deadline, wake_fd):
                return []

    def _check_open(self) -> None:
        if self._closed:
            raise SourceUnavailable(f"the stream from source {self._uri.address} was closed")

    def _request_dump(self, connection: Connection[Cursor]) -> None:
        source = self.source = server_info(connection)
        if source.flavour != self._flavour:
            raise HistoryDiverged(
                f"source {self._uri.address} is {source}, but the changefeed was created for {self._flavour}: create a "
                f"new changefeed for this server"
            )
        self.clock = read_clock(connection, source.flavour)
        check_logged(connection, source, self._uri.address)
        start = self._start
        by_gtid = self.by_gtid = check_gtids(connection, source, self._uri.address, start, self._applied)
        if not by_gtid:
            check_file(connection, source, self._uri.address, start)
            check_file(connection, source, self._uri.address, self._applied)
        proven = prove(connection, self._uri, source, self._applied)
        at_place = by_gtid and proven and has_place(start, source.source_id, source.flavour)
        if at_place and start.mark != self._applied.mark:
            at_place = is_at_place(self._uri, source, start)
        found_by = start.gtid_set if by_gtid and not at_place else None
        prepare(connection, source.flavour, self._heartbeat, found_by)
        command = self._command(by_gtid, at_place)
        set_timeouts(connection, None)
        raw = vars(connection)["_sock"]
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        send(raw, command)

    def _command(self, by_gtid: bool, at_place: bool) -> bytes:
        file, offset = "", FIRST_EVENT
        if at_place or not by_gtid:
            file, offset = self._start.file, self._start.offset
        if by_gtid and self._flavour == "mysql":
            return by_gtids(MysqlGtidSet.parse(self._start.gtid_set), file, offset, self._server_id)
        return by_place(file, offset, self._server_id)

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
        nothing else, whatever is written. So it is asked when there was nothing else for a while. And now and then in
        any case: the address may lead to another server by now, which this connection will never tell."""
        now = time.monotonic()
        idle = event[e.TYPE_AT] in (e.HEARTBEAT, e.HEARTBEAT_V2)
        if not idle:
            self._moved = now
        if (idle and now - self._moved >= _IDLE_SECONDS) or now - self._asked >= _BUSY_SECONDS:
            self._moved = self._asked = now
            self._ask(event, idle)

    def _ask(self, event: bytes, idle: bool) -> None:
        """Whether the source still has what was applied, and is still the server that the address leads to. A question
        that it does not answer is left to the stream, and so is what it purges: it may do that with what was read, and
        between a heartbeat and the question."""
        assert self.source is not None
        gone = ""
        with contextlib.suppress(pymysql.MySQLError, OSError, SourceUnavailable, BinlogPurged):
            connection = connect(self._uri, "source", timeout=_QUESTION_SECONDS, read_timeout=_QUESTION_SECONDS)
            with connection:
                source = server_info(connection)
                if source.source_id != self.source.source_id:
                    gone = self._elsewhere.judge(connection, source, self._read_so_far(), idle, self.by_gtid)
                elif idle:
                    self._ask_same(connection, source, event)
        if gone:
            raise SourceUnavailable(
                f"the address of source {self._uri.address} leads to server {source.source_id} now, {gone}; the stream "
                f"from server {self.source.source_id} ends, and the other is asked"
            )

    def _ask_same(self, connection: Connection[Cursor], source: ServerInfo, heartbeat: bytes) -> None:
        check_logged(connection, source, self._uri.address)
        check_applied(connection, source, self._uri.address, self._start, self._applied)
        if heartbeat and heartbeat[e.TYPE_AT] == e.HEARTBEAT:
            file = heartbeat[e.HEADER :].decode("utf-8", "replace")
            offset = int.from_bytes(heartbeat[e.LOG_POS_AT : e.LOG_POS_AT + 4], "little")
            read = Position(file=file, offset=offset, source_id=source.source_id)
            check_file(connection, source, self._uri.address, read)
        position = self._read_so_far()
        prove(connection, self._uri, source, position, file_only=position == self._proven)
        self._proven = position

    def _read_so_far(self) -> Position:
        return self.reached() if self.reached is not None else self._applied

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
