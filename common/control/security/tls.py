"""TLS of a node's port and of the channels to it, from files that may change at any time.

A set of files is taken as a whole: a certificate that does not belong to its key, or a file that cannot be read, leaves
the former set in use and is logged, since the three are rarely replaced in one instant. Servers look at every
handshake, channels once a second; connections that stand go on, calls under way end where they began.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from prometheus_client import Gauge

from hedgerow.common.control.security.caller import Certificate, read_certificate
from hedgerow.common.errors import BadInput, Unauthenticated

log = structlog.get_logger()

CERTIFICATE_EXPIRES = Gauge(
    "hedgerow_certificate_expires_timestamp_seconds", "When this node's own certificate expires; 0 without TLS"
)
_LOOK_SECONDS: Final = 1.0
_SAY_AGAIN_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Material:
    """What the files hold, checked. A client that uses a token has no certificate of its own."""

    authorities: bytes
    chain: bytes | None
    key: bytes | None

    @property
    def certificate(self) -> Certificate:
        assert self.chain is not None
        return read_certificate(self.chain)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    ca: Path
    cert: Path | None = None
    key: Path | None = None

    def read(self) -> Material:
        """Raises BadInput that names the file."""
        authorities = _bytes("tls_ca", self.ca)
        _certificates("tls_ca", self.ca, authorities)
        if self.cert is None or self.key is None:
            return Material(authorities, None, None)
        chain, key = _bytes("tls_cert", self.cert), _bytes("tls_key", self.key)
        leaf = _certificates("tls_cert", self.cert, chain)[0]
        try:
            private = load_pem_private_key(key, None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise BadInput(f"tls_key {self.key} is not a private key in PEM without a passphrase") from None
        form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        if leaf.public_key().public_bytes(*form) != private.public_key().public_bytes(*form):
            raise BadInput(f"tls_key {self.key} does not belong to the certificate in tls_cert {self.cert}")
        return Material(authorities, chain, key)


def check_own_certificate(material: Material, path: Path | None) -> None:
    """Raises BadInput for a certificate that nobody would accept: expired, or not for both ends of a connection."""
    assert material.chain is not None
    try:
        material.certificate.check_time()
    except Unauthenticated as error:
        raise BadInput(f"tls_cert {path}: {error}") from None
    wanted = {ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth", ExtendedKeyUsageOID.SERVER_AUTH: "serverAuth"}
    leaf = x509.load_pem_x509_certificates(material.chain)[0]
    try:
        uses = set(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return
    lacking = [name for oid, name in wanted.items() if oid not in uses]
    if lacking:
        raise BadInput(
            f"tls_cert {path} lacks the extended key usage {' and '.join(lacking)}: a node serves its peers and calls "
            "them with it, so it needs both"
        )


def check_own_host(material: Material, path: Path | None, host: str) -> None:
    """Raises BadInput for a certificate that is not for the host by which peers call this node (RFC 6125, as gRPC
    checks it)."""
    assert material.chain is not None
    leaf = x509.load_pem_x509_certificates(material.chain)[0]
    hosts = [f"{address}" for address in _alternative(leaf, x509.IPAddress)]
    hosts += [name.lower() for name in _alternative(leaf, x509.DNSName)]
    wanted = host.lower().rstrip(".")
    if wanted in hosts or f"*.{wanted.partition('.')[2]}" in hosts:
        return
    raise BadInput(
        f"tls_cert {path} is for {', '.join(hosts) or 'no host'}, and peers call this node {host} (advertise, else "
        "listen), so they would refuse it: advertise what it is for, or let it be issued for that"
    )


def _alternative(certificate: x509.Certificate, kind: Any) -> list[Any]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return list(found.get_values_for_type(kind))


def _bytes(option: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot read {option} {path}: {error.strerror}") from None


def _certificates(option: str, path: Path, pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise BadInput(f"{option} {path} holds no certificates in PEM") from None


class TlsSource:
    """The newest usable material of some files; asked from gRPC's threads and from the event loop."""

    def __init__(self, files: TlsFiles) -> None:
        """Raises BadInput."""
        self._files = files
        self._lock = threading.Lock()
        self._material = files.read()
        _show_expiry(self._material)
        self._looked = time.monotonic()
        self._said = ""
        self._said_at = 0.0

    def material(self, *, fresh: bool = False) -> Material:
        """`fresh`: look at the files now, and not at most once a second."""
        with self._lock:
            now = time.monotonic()
            if fresh or now - self._looked >= _LOOK_SECONDS:
                self._looked = now
                self._look(now)
            return self._material

    def _look(self, now: float) -> None:
        try:
            found = self._files.read()
        except BadInput as error:
            if str(error) != self._said or now - self._said_at >= _SAY_AGAIN_SECONDS:
                self._said, self._said_at = str(error), now
                log.error("certificates-unusable", error=str(error), effect="those read before stay in use")
            return
        self._said = ""
        if found != self._material:
            self._material = found
            _show_expiry(found)
            log.info("certificates-reloaded", ca=str(self._files.ca), cert=str(self._files.cert or ""))

    def server_credentials(self, *, client_certificates: bool) -> grpc.ServerCredentials:
        """With `client_certificates` every client must have one of the authorities; else none is asked for."""
        used: list[Material] = [self.material()]

        def configuration(material: Material) -> Any:
            assert material.key is not None
            assert material.chain is not None
            pairs = [(material.key, material.chain)]
            return grpc.ssl_server_certificate_configuration(
                pairs, root_certificates=material.authorities if client_certificates else None
            )

        def changed() -> Any:
            found = self.material(fresh=True)
            if found == used[0]:
                return None
            used[0] = found
            return configuration(found)

        return grpc.dynamic_ssl_server_credentials(
            configuration(used[0]), changed, require_client_authentication=client_certificates
        )


def _show_expiry(material: Material) -> None:
    if material.chain is not None:
        CERTIFICATE_EXPIRES.set(material.certificate.until)


def channel_credentials(material: Material) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(material.authorities, material.key, material.chain)
