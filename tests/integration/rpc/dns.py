"""A name server with one name, whose address the test chooses."""

from __future__ import annotations

import socket
import struct
import threading
from typing import Self

_HEADER = 12
_TYPE_A = 1


class NameServer:
    """Answers every question for an A record with `address`, and all others with nothing. A context manager."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)

    def target(self, name: str, port: int) -> str:
        """For gRPC: this name, asked of this server."""
        return f"dns://127.0.0.1:{self._socket.getsockname()[1]}/{name}:{port}"

    def _serve(self) -> None:
        while True:
            question, asker = self._socket.recvfrom(512)
            if not question:
                return
            self._socket.sendto(self._answer(question), asker)

    def _answer(self, question: bytes) -> bytes:
        """RFC 1035, section 4: the header, the question again, and the record, whose name points at the question's."""
        end = _HEADER
        while question[end]:
            end += question[end] + 1
        asked = question[_HEADER : end + 5]
        known = struct.unpack(">H", question[end + 1 : end + 3])[0] == _TYPE_A
        header = question[:2] + b"\x81\x80" + struct.pack(">HHHH", 1, int(known), 0, 0)
        record = b"\xc0\x0c" + struct.pack(">HHIH", _TYPE_A, 1, 0, 4) + socket.inet_aton(self.address)
        return header + asked + (record if known else b"")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
            end.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()
