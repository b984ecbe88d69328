"""Wakes the one thread that waits in select or poll, from any other thread."""

from __future__ import annotations

import contextlib
import os
import select
import threading


class Wake:
    """A pipe: `set` makes `fd` readable until `clear`. `close` only when the waiting thread waits no more."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._lock = threading.Lock()
        self._closed = False
        self._poll = select.poll()
        self._poll.register(self._read, select.POLLIN)

    @property
    def fd(self) -> int:
        return self._read

    def set(self) -> None:
        """Never blocks; does nothing after `close`."""
        with self._lock:
            if not self._closed:
                with contextlib.suppress(BlockingIOError):  # full: it is set
                    os.write(self._write, b"\0")

    def clear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._read, 4096)

    def wait(self, seconds: float) -> None:
        """Until it is set, at most so long; clears it."""
        if self._poll.poll(max(0, int(seconds * 1000))):
            self.clear()

    def close(self) -> None:
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self._read)
                os.close(self._write)
