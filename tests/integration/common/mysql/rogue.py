"""A server that is after the password: it greets like MySQL and asks for one way of authentication or another."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

_SALT = b"12345678abcdefghijkl"
_SSL = 0x800
_CAPABILITIES = 0x000F | 0x0200 | 0x2000 | 0x8000 | 0x00280000  # protocol 41, secure connection, plugins
_SWITCH, _MORE, _FULL = b"\xfe", b"\x01", b"\x04"
_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
_PUBLIC = _KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


@dataclass
class Rogue:
    """`heard`: every byte that a client sent; `decrypted`: what it encrypted for the rogue's own key."""

    port: int
    visited: bool = False
    heard: bytes = b""
    decrypted: bytes = b""

    def knows(self, secret: str) -> bool:
        return secret.encode() in self.heard or secret.encode() in self.decrypted


@contextlib.contextmanager
def rogue_server(greets_with: str, switches_to: str = "", tls: Path | None = None) -> Iterator[Rogue]:
    """Serves one client. `tls`: a directory for its certificate, which it signs itself."""
    context = _context(tls) if tls else None
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        rogue = Rogue(listener.getsockname()[1])

        def serve() -> None:
            with contextlib.suppress(OSError, EOFError), listener.accept()[0] as client:
                client.settimeout(10)
                rogue.visited = True
                conversation = _Conversation(client, rogue, context)
                with contextlib.closing(conversation):
                    conversation.hold(greets_with, switches_to)

        thread = threading.Thread(target=serve)
        thread.start()
        yield rogue
        thread.join()


class _Conversation:
    def __init__(self, client: socket.socket, rogue: Rogue, context: ssl.SSLContext | None) -> None:
        self._client = client
        self._rogue = rogue
        self._context = context
        self._sequence = 0

    def close(self) -> None:
        self._client.close()

    def hold(self, greets_with: str, switches_to: str) -> None:
        capabilities = _CAPABILITIES | (_SSL if self._context else 0)
        self._send(
            b"\x0a8.4.0\0"
            + struct.pack("<I", 7)
            + _SALT[:8]
            + struct.pack("<xHBHHB10x", capabilities & 0xFFFF, 45, 2, capabilities >> 16, 21)
            + _SALT[8:]
            + b"\0"
            + greets_with.encode()
            + b"\0"
        )
        answer = self._receive()
        if self._context is not None:
            self._client = self._context.wrap_socket(self._client, server_side=True)
            answer = self._receive()
        if switches_to:
            self._send(
                _SWITCH
                + switches_to.encode()
                + b"\0"
                + (b"\x04Password: " if switches_to == "dialog" else _SALT + b"\0")
            )
            answer = self._receive()
        if (switches_to or greets_with) == "caching_sha2_password":
            self._send(_MORE + _FULL)
            answer = self._receive()
        if len(answer) < 3 or "sha256" in greets_with + switches_to:
            self._send(_MORE + _PUBLIC)
            answer = self._receive()
        with contextlib.suppress(ValueError):
            plain = _KEY.decrypt(answer, padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None))
            self._rogue.decrypted += bytes(byte ^ _SALT[at % 20] for at, byte in enumerate(plain))
        self._send(b"\0\0\0\x02\0\0\0")  # welcome
        while True:
            self._receive()

    def _send(self, payload: bytes) -> None:
        self._client.sendall(len(payload).to_bytes(3, "little") + bytes([self._sequence & 0xFF]) + payload)
        self._sequence += 1

    def _receive(self) -> bytes:
        head = self._exactly(4)
        self._sequence = head[3] + 1
        return self._exactly(int.from_bytes(head[:3], "little"))

    def _exactly(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            part = self._client.recv(count - len(found))
            if not part:
                raise EOFError
            found += part
            self._rogue.heard += part
        return found


def _context(directory: Path) -> ssl.SSLContext:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(_KEY.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(_KEY, hashes.SHA256())
    )
    key = _KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = directory / "rogue.pem"
    file.write_bytes(key + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context
