"""Configuration of a node and of the command line: flags over environment (HEDGEROW_…) over a TOML file over defaults.

A value that cannot be used is a BadInput that names every field at fault, so that a start fails once, not five times.
"""

from __future__ import annotations

import os
import socket
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import grpc
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from hedgerow.common.control.security import settings as security
from hedgerow.common.control.security.channels import client_credentials
from hedgerow.common.control.security.tls import TlsFiles
from hedgerow.common.errors import BadInput
from hedgerow.common.mysql import hosts, secrets


class _Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="HEDGEROW_", extra="forbid", frozen=True, env_ignore_empty=True)

    @classmethod
    def load(cls, file: Path | None, flags: Mapping[str, Any]) -> Self:
        """Flags that are None or empty count as not given. Raises BadInput."""
        values = _read_toml(file) if file else {}

        class Loaded(cls):  # type: ignore[valid-type, misc]
            @classmethod
            def settings_customise_sources(
                cls,
                settings_cls: type[BaseSettings],
                init_settings: PydanticBaseSettingsSource,
                env_settings: PydanticBaseSettingsSource,
                dotenv_settings: PydanticBaseSettingsSource,
                file_secret_settings: PydanticBaseSettingsSource,
            ) -> tuple[PydanticBaseSettingsSource, ...]:
                return init_settings, env_settings, lambda: values  # type: ignore[return-value]

        try:
            loaded = Loaded(**{key: value for key, value in flags.items() if value not in (None, ())})
        except ValidationError as error:
            problems = "; ".join(_describe(problem, file) for problem in error.errors())
            raise BadInput(f"the configuration cannot be used: {problems}") from None
        return cls.model_construct(**loaded.model_dump())


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except OSError as error:
        raise BadInput(f"cannot read the configuration file {file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"the configuration file {file} is not TOML: {error}") from None


def _describe(problem: Any, file: Path | None) -> str:
    name = ".".join(str(part) for part in problem["loc"])
    said = problem["msg"].removeprefix("Value error, ")
    if not name:  # of several settings together: it names them
        return str(said)
    if problem["type"] == "extra_forbidden":
        return f"{name} (in {file}) is not a setting"
    shown = "" if "password" in name else f", found {problem['input']!r}"
    return f"{name}: {said}{shown} (flag --{name.replace('_', '-')}, HEDGEROW_{name.upper()} or file)"


Endpoints = Annotated[tuple[str, ...], NoDecode]
Names = Annotated[tuple[str, ...], NoDecode]


class NodeConfig(_Settings):
    """What `hedgerow node` is told. Durations are seconds."""

    name: str = Field(default_factory=socket.gethostname, pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,62}$")
    cluster: str = Field(default="default", pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    etcd: Endpoints = ("127.0.0.1:2379",)
    etcd_ca: Path | None = None
    etcd_cert: Path | None = None
    etcd_key: Path | None = None
    etcd_user: str | None = None
    etcd_password: SecretStr | None = None
    etcd_password_file: Path | None = None
    listen: str = "127.0.0.1:7300"
    advertise: str | None = None
    insecure: bool = False
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_connection_age: float = Field(default=900.0, ge=1)
    token_listen: str | None = None
    token_hashes: Path | None = None
    jwt_keys: Path | None = None
    jwt_issuer: str | None = None
    jwt_audience: str | None = None
    role_node: Names = ()
    role_viewer: Names = ()
    role_operator: Names = ()
    role_admin: Names = ()
    audit_log: Path | None = None
    user_calls: int = Field(default=64, ge=1, le=1024)
    user_streams: int = Field(default=16, ge=1, le=256)
    allowed_hosts: Names = ()
    metrics: str | None = None
    probes: str | None = None
    etcd_patience: float = Field(default=0.0, ge=0)
    lease_ttl: int = Field(default=5, ge=2, le=60)
    drain_deadline: float = Field(default=20.0, gt=0)
    secrets_dirs: Annotated[tuple[str, ...], NoDecode] = secrets.DEFAULT_DIRECTORIES
    password_env_prefix: str = Field(default=secrets.DEFAULT_PREFIX, pattern=r"^[A-Za-z_][A-Za-z0-9_]+$")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "text"] = "text"

    @field_validator("etcd", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
            raise ValueError("not a list of host:port")
        return tuple(part.strip() for part in parts)

    @field_validator("role_node", "role_viewer", "role_operator", "role_admin", "allowed_hosts", mode="before")
    @classmethod
    def _split_names(cls, value: Any) -> Any:
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
            raise ValueError("not a list of names")
        return tuple(part.strip() for part in parts)

    @field_validator("allowed_hosts")
    @classmethod
    def _hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        hosts.read(value)
        return value

    @field_validator("etcd", "listen", "advertise", "token_listen", "metrics", "probes")
    @classmethod
    def _host_and_port(cls, value: Any) -> Any:
        for address in value if isinstance(value, tuple) else (value,):
            if address is not None:
                split_address(address)
        return value

    @field_validator("secrets_dirs", mode="before")
    @classmethod
    def _split_directories(cls, value: Any) -> Any:
        parts = value.split(":") if isinstance(value, str) else value
        if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
            raise ValueError("not a list of directories")
        if any(not part.startswith("/") or os.path.normpath(part) == "/" for part in parts):
            raise ValueError("every directory has an absolute path, and is not /")
        return tuple(parts)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.etcd:
            raise ValueError("etcd needs at least one endpoint host:port")
        if (self.etcd_cert is None) != (self.etcd_key is None):
            raise ValueError("etcd_cert and etcd_key go together")
        if self.etcd_password is not None and self.etcd_password_file is not None:
            raise ValueError("give etcd_password_file or HEDGEROW_ETCD_PASSWORD, not both")
        if (self.etcd_user is None) != (self.etcd_password is None and self.etcd_password_file is None):
            raise ValueError("etcd_user goes with etcd_password_file or HEDGEROW_ETCD_PASSWORD")
        if self.advertise is None and split_address(self.listen)[0] in ("0.0.0.0", "::", ""):
            raise ValueError(f"listen is {self.listen}: peers cannot call that, so advertise must name a host:port")
        security.check(self, split_address(self.listen)[0])
        return self

    @property
    def called(self) -> str:
        """The host by which peers call this node."""
        return split_address(self.advertise or self.listen)[0]

    @property
    def own_files(self) -> tuple[Path | None, ...]:
        """What no URI may name."""
        etcd = self.etcd_key, self.etcd_password_file
        return (*etcd, self.tls_key, self.token_hashes, self.jwt_keys, self.audit_log)

    def read_etcd_password(self) -> str:
        """Read again on every call, so that a rotated file is honoured. Raises BadInput."""
        if self.etcd_password is not None:
            return self.etcd_password.get_secret_value()
        assert self.etcd_password_file is not None
        try:
            return self.etcd_password_file.read_text().rstrip("\n")
        except OSError as error:
            raise BadInput(f"cannot read etcd_password_file {self.etcd_password_file}: {error.strerror}") from None


class ClientConfig(_Settings):
    """What the commands that talk to a node are told."""

    addr: str = "127.0.0.1:7300"
    output: Literal["table", "json"] = "table"
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    token_file: Path | None = None

    @field_validator("addr")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        split_address(value)
        return value

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together")
        if self.tls_ca is None and self.tls_cert is not None:
            raise ValueError("tls_cert goes with tls_ca, by which the node is known")
        if self.tls_ca is None and self.token_file is not None:
            raise ValueError("token_file goes with tls_ca: a token is not sent to a node that has not proved who it is")
        return self

    def credentials(self) -> grpc.ChannelCredentials | None:
        """None: without TLS. Raises BadInput for files that cannot be used."""
        if self.tls_ca is None:
            return None
        return client_credentials(TlsFiles(self.tls_ca, self.tls_cert, self.tls_key), self.token_file)


def split_address(address: str) -> tuple[str, int]:
    """host:port or [ipv6]:port. Raises ValueError with what was found."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"not host:port: {address!r}")
    if "://" in host:
        raise ValueError(f"not host:port: {address!r} begins with a scheme; leave it out")
    if any(char in host for char in ", /") or (":" in host and not (host.startswith("[") and host.endswith("]"))):
        raise ValueError(f"not one host:port: {address!r}")
    return host.strip("[]"), int(port)
