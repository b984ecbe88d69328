"""A TCP proxy that changes one byte of a pattern on its way from the server."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self


class Corruptor:
    """Forwards one connection to `target`; the first `pattern` that arrives in one piece loses a bit."""

    def __init__(self, target: int, pattern: bytes) -> None:
        self._target = target
        self._pattern = pattern
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = [self._listener]
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for end in self._sockets:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for end in self._sockets:
            end.close()

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        server = socket.create_connection(("127.0.0.1", self._target))
        self._sockets += [client, server]
        forward = threading.Thread(target=self._pump, args=(client, server, b""))
        self._threads.append(forward)
        forward.start()
        self._pump(server, client, self._pattern)

    def _pump(self, come: socket.socket, go: socket.socket, pattern: bytes) -> None:
        with contextlib.suppress(OSError):
            while data := come.recv(1 << 20):
                at = data.find(pattern) if pattern else -1
                if at >= 0:
                    data = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
                    pattern = b""
                go.sendall(data)
        with contextlib.suppress(OSError):
            go.shutdown(socket.SHUT_WR)
