"""Ends connections to a server from any thread, at once, without waiting for the thread that uses them."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import Any

from pymysql.connections import Connection

_DISCARD = struct.pack("ii", 1, 0)  # SO_LINGER: what the kernel has not sent by the close is never sent


class KillSwitch:
    """The connections of one owner. After `cut` none of them sends anything, nor does one that is attached later.

    Attach a connection before its first statement. Whoever uses it finds it broken, and closes it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._is_done = False

    @property
    def is_done(self) -> bool:
        return self._is_done

    def attach(self, connection: Connection[Any]) -> None:
        raw = vars(connection)["_sock"]
        with self._lock:
            self._sockets = [one for one in self._sockets if one.fileno() >= 0]
            self._sockets.append(raw)
            if self._is_done:
                _shut(raw)

    def cut(self) -> None:
        """From any thread. Returns at once."""
        with self._lock:
            self._is_done = True
            for raw in self._sockets:
                _shut(raw)


def _shut(raw: socket.socket) -> None:
    with contextlib.suppress(OSError):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DISCARD)
        # Not raw.shutdown: that of a TLS socket first turns it into a plain one, which a running send would use.
        socket.socket.shutdown(raw, socket.SHUT_RDWR)
