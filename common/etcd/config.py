"""Where etcd is, and how to reach and enter it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import grpc

from hedgerow.common.errors import BadInput


@dataclass(frozen=True, slots=True)
class EtcdConfig:
    """`endpoints` are host:port. TLS is spoken where a CA or a client certificate is given; without a CA the system's.

    `password` is asked at every login, so that a rotated secret is honoured. `timeout` is the deadline of an operation
    whose caller names none, in seconds.
    """

    endpoints: tuple[str, ...]
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    username: str = ""
    password: Callable[[], str] | None = None
    timeout: float = 5.0

    def __post_init__(self) -> None:
        if not self.endpoints:
            raise BadInput("etcd: at least one endpoint host:port is needed")
        if (self.cert_file is None) != (self.key_file is None):
            raise BadInput("etcd: a client certificate and its key go together")
        if bool(self.username) != (self.password is not None):
            raise BadInput("etcd: a user name and a password go together")

    @property
    def tls(self) -> bool:
        return self.ca_file is not None or self.cert_file is not None

    def credentials(self) -> grpc.ChannelCredentials:
        """Reads the files. Raises BadInput naming the one that cannot be read."""
        return grpc.ssl_channel_credentials(
            root_certificates=_read(self.ca_file, "the CA"),
            private_key=_read(self.key_file, "the client's key"),
            certificate_chain=_read(self.cert_file, "the client's certificate"),
        )


def _read(file: Path | None, what: str) -> bytes | None:
    if file is None:
        return None
    try:
        return file.read_bytes()
    except OSError as error:
        raise BadInput(f"etcd: cannot read {what}, {file}: {error.strerror}") from None
