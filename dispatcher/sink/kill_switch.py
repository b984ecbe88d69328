"""Ends what works for a changefeed, from any thread, at once, without waiting for the threads that are at work.

Switches form a tree: a node's, below it one for each changefeed, below that one for each stream. What happens to one
happens to all below it, also to those that are made later: so nobody who makes something has to look whether it was
ended meanwhile.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from pymysql.connections import Connection

_DISCARD = struct.pack("ii", 1, 0)  # SO_LINGER: what the kernel has not sent by the close is never sent


class KillSwitch:
    """`end` asks all below to finish. After `cut` none of the connections below sends anything, nor does one that is
    attached later. Neither is ever taken back.

    Attach a connection before its first statement. Whoever uses it finds it broken, and closes it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._watchers: list[Callable[[], None]] = []
        self._is_ending = self._is_cut = False
        self._unwatch: Callable[[], None] = lambda: None

    @property
    def is_ending(self) -> bool:
        return self._is_ending

    @property
    def is_cut(self) -> bool:
        return self._is_cut

    def attach(self, connection: Connection[Any]) -> None:
        raw = vars(connection)["_sock"]
        with self._lock:
            self._sockets = [one for one in self._sockets if one.fileno() >= 0]
            self._sockets.append(raw)
            if self._is_cut:
                _shut(raw)

    def end(self) -> None:
        """From any thread. Returns at once."""
        self._change(cut=False)

    def cut(self) -> None:
        """From any thread. Returns at once."""
        self._change(cut=True)

    def below(self) -> KillSwitch:
        """A switch that follows this one, until `leave`."""
        found = KillSwitch()

        def follow() -> None:
            if self._is_ending:
                found._change(cut=self._is_cut)

        found._unwatch = self.watch(follow)
        return found

    def leave(self) -> None:
        """There is nothing below any more: the switch above forgets this one."""
        self._unwatch()

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """`changed` is called by whoever ends or cuts, and now if that has happened. It must not block. Returns what
        ends the watching."""
        with self._lock:
            self._watchers.append(changed)
        if self._is_ending:
            changed()
        return partial(self._forget, changed)

    def _forget(self, changed: Callable[[], None]) -> None:
        with self._lock, contextlib.suppress(ValueError):
            self._watchers.remove(changed)

    def _change(self, *, cut: bool) -> None:
        with self._lock:
            self._is_ending = True
            self._is_cut = self._is_cut or cut
            for raw in self._sockets if self._is_cut else ():
                _shut(raw)
            watchers = list(self._watchers)
        for changed in watchers:  # not under the lock: they may take locks under which others attach
            changed()


def _shut(raw: socket.socket) -> None:
    with contextlib.suppress(OSError):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DISCARD)
        # Not raw.shutdown: that of a TLS socket first turns it into a plain one, which a running send would use.
        socket.socket.shutdown(raw, socket.SHUT_RDWR)
