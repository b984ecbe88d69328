"""A throw-away certificate authority for loopback servers and their clients, and for trials."""

from __future__ import annotations

import datetime
import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_VALID = datetime.timedelta(days=2)
_LOOPBACK = ("127.0.0.1", "localhost")


class Authority:
    """Writes what it issues into `directory`: ca.pem, NAME.pem, NAME.key."""

    def __init__(self, directory: Path, valid: datetime.timedelta = _VALID) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.ca_file = directory / "ca.pem"
        self._directory = directory
        self._valid = valid
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("sandbox authority")
        builder = _builder(self._name, self._name, self._key.public_key(), valid)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        # By it two authorities of one name are told apart, as in a bundle while one takes over from the other.
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), False)
        certificate = builder.sign(self._key, hashes.SHA256())
        _replace(self.ca_file, certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, *, hosts: Sequence[str] = _LOOPBACK) -> tuple[Path, Path]:
        """A certificate for these hosts, for servers and clients alike, and its key; once per name."""
        cert_file, key_file = self._directory / f"{name}.pem", self._directory / f"{name}.key"
        if not cert_file.exists():
            self.renew(name, hosts=hosts)
        return cert_file, key_file

    def renew(
        self,
        name: str,
        *,
        hosts: Sequence[str] = _LOOPBACK,
        uris: Sequence[str] = (),
        valid: datetime.timedelta | None = None,
        uses: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
    ) -> tuple[Path, Path]:
        """A new certificate and key in the place of those that the name has. `valid` below 0: expired so long ago."""
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [_host(host) for host in hosts]
        names += [x509.UniformResourceIdentifier(uri) for uri in uris]
        builder = _builder(_name(name), self._name, key.public_key(), self._valid if valid is None else valid)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False).add_extension(
            issuer, critical=False
        )
        certificate = builder.sign(self._key, hashes.SHA256())
        cert_file, key_file = self._directory / f"{name}.pem", self._directory / f"{name}.key"
        form = serialization.PrivateFormat.PKCS8
        _replace(key_file, key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
        _replace(cert_file, certificate.public_bytes(serialization.Encoding.PEM))
        return cert_file, key_file


def _replace(file: Path, content: bytes) -> None:
    new = file.with_name(f"{file.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(content)
    new.replace(file)


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, valid: datetime.timedelta
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    begin = min(now, now + valid) - datetime.timedelta(minutes=5)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(now + valid)
    )
