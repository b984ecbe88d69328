"""The reader on a socket that stops to deliver."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from hedgerow.common.binlog.position import Position
from hedgerow.common.errors import SourceUnavailable
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.dispatcher.source.reader import Reader


def context(side: int) -> ssl.SSLContext:
    """Without certificates: keys are agreed on anonymously."""
    made = ssl.SSLContext(side)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.maximum_version = ssl.TLSVersion.TLSv1_2
    made.set_ciphers("aNULL:@SECLEVEL=0")
    return made


@contextmanager
def tls_pair() -> Iterator[tuple[ssl.SSLSocket, socket.socket, ssl.SSLObject, ssl.MemoryBIO]]:
    """A reader's socket, and the other end of it: the wire, and what is to be put on it."""
    near, far = socket.socketpair()
    inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context(ssl.PROTOCOL_TLS_SERVER).wrap_bio(inward, outward, server_side=True)

    def serve() -> None:
        while True:
            try:
                server.do_handshake()
            except ssl.SSLWantReadError:
                far.sendall(outward.read())
                inward.write(far.recv(1 << 16))
            else:
                far.sendall(outward.read())
                return

    thread = threading.Thread(target=serve)
    thread.start()
    client = context(ssl.PROTOCOL_TLS_CLIENT).wrap_socket(near)
    thread.join()
    with client, far:
        yield client, far, server, outward


def test_a_source_that_stops_in_a_tls_record_counts_as_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hedgerow.dispatcher.source.reader._LEAST_SILENCE_SECONDS", 0.2)
    monkeypatch.setattr(Reader, "_request_dump", lambda reader, connection: None)
    with tls_pair() as (raw, wire, server, outward):
        connection = SimpleNamespace(_sock=raw, _force_close=raw.close)
        monkeypatch.setattr("hedgerow.dispatcher.source.reader.connect", lambda *_, **__: connection)
        uri = ServerUri.parse("mysql://u@h/")
        reader = Reader(uri, "mysql", Position(), server_id=1, heartbeat_seconds=0.01)
        reader.connect()
        server.write(b"x" * 1000)
        wire.sendall(outward.read()[:500])
        assert reader.read(0.01) == []

        def read_on() -> None:
            while True:
                assert reader.read(0.05) == []

        with pytest.raises(SourceUnavailable, match="network does not deliver"):
            read_on()
        reader.close()
