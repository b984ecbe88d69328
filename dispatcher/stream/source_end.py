"""Where the source's binlog ends, asked when the stream itself cannot tell: rarely, over a connection of its own, by a
thread that lives only while it asks. Nothing depends on the answer but a number that is shown."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass

import pymysql

from hedgerow.common.errors import HedgerowError
from hedgerow.common.mysql.connect import connect, server_info
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.dispatcher.sink.kill_switch import KillSwitch
from hedgerow.dispatcher.stream.lag import Place, distance

ASK_SECONDS = 10.0  # between two questions
BELIEVED_SECONDS = 30.0  # that an answer is used
_TIMEOUT = 2.0


@dataclass(frozen=True, slots=True)
class Files:
    """The binlog files of a server and their sizes, in order; `at` is on time.monotonic()."""

    source_id: str
    sizes: Mapping[str, int]
    at: float

    @property
    def end(self) -> Place:
        return list(self.sizes.items())[-1]


class SourceEnd:
    """Used by the stream's thread; `bytes` by any."""

    def __init__(self, uri: ServerUri) -> None:
        self._uri = uri
        self._asked_at: float | None = None
        self._thread: threading.Thread | None = None
        self._files: Files | None = None
        self._cut = KillSwitch()

    def want(self, now: float) -> None:
        """Asks, unless that was done lately or is being done. Returns at once."""
        if self._asked_at is not None and now - self._asked_at < ASK_SECONDS:
            return
        if self._thread is None or not self._thread.is_alive():
            self._asked_at = now
            self._thread = threading.Thread(target=self._ask, args=(now,), name="source-end", daemon=True)
            self._thread.start()

    def bytes(self, span: tuple[Place, Place] | None, source_id: str, now: float) -> int | None:
        """From what is durable to the end of the binlog, or to what was read where that is more. None where the source
        does not answer, or is another server than positions are of."""
        files = self._files
        if span is None or files is None or now - files.at > BELIEVED_SECONDS or files.source_id != source_id:
            return None
        durable, read = span
        lengths = [distance(durable, place, files.sizes) for place in (read, files.end)]
        return None if None in lengths else max(length for length in lengths if length is not None)

    def close(self) -> None:
        """Ends a question, and awaits the thread."""
        self._cut.cut()
        if self._thread is not None:
            self._thread.join()

    def _ask(self, now: float) -> None:
        with contextlib.suppress(pymysql.MySQLError, OSError, HedgerowError, StopIteration):
            with connect(self._uri, "source", timeout=_TIMEOUT, read_timeout=_TIMEOUT) as connection:
                self._cut.attach(connection)
                source_id = server_info(connection).source_id
                with connection.cursor() as cursor:
                    cursor.execute("SHOW BINARY LOGS")
                    sizes = {str(row[0]): int(row[1]) for row in cursor.fetchall()}
            if sizes:
                self._files = Files(source_id, sizes, now)
