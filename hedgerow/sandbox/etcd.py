"""A local etcd cluster of one or three members, for tests, the playground and the demo.

EtcdCluster owns its member processes and the directory it was given. Its calls block. TLS means server and client
certificates of one throw-away authority; authentication means a root user and one user that may touch Hedgerow's keys.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc

from hedgerow.common.etcd import EtcdConfig
from hedgerow.common.etcd.values import prefix
from hedgerow.common.pb.etcd import auth_pb2, rpc_pb2, rpc_pb2_grpc
from hedgerow.sandbox.certificates import Authority
from hedgerow.sandbox.ports import free_port
from hedgerow.sandbox.process import ManagedProcess, SandboxError

_READY = 20.0  # seconds
_LONER = (("grpc.use_local_subchannel_pool", 1),)  # no channel inherits another's reconnect backoff
USER, PASSWORD = "hedgerow", "correct horse"
_ROOT_PASSWORD = "root of all"


class EtcdCluster:
    """Member numbers begin at 0. Heartbeats are short, so that a lost leader is replaced within about a second."""

    def __init__(
        self,
        directory: Path,
        *,
        members: int = 3,
        tls: bool = False,
        auth: bool = False,
        token_ttl: int = 300,
        heartbeat_ms: int = 50,
        election_ms: int = 500,
    ) -> None:
        """`token_ttl`: seconds that a login lasts."""
        program = shutil.which("etcd")
        if program is None:
            raise SandboxError("there is no etcd on the PATH; install it (Debian: apt install etcd-server)")
        self._directory = directory
        self._auth = auth
        self._tls = tls
        self._authority = Authority(directory / "tls") if tls else None
        scheme = "https" if tls else "http"
        self.endpoints = tuple(f"127.0.0.1:{free_port()}" for _ in range(members))
        peers = [f"http://127.0.0.1:{free_port()}" for _ in range(members)]
        cluster = ",".join(f"m{number}={url}" for number, url in enumerate(peers))
        security = self._security_flags()
        self.members = [
            ManagedProcess(
                [
                    program,
                    f"--name=m{number}",
                    f"--data-dir={directory / f'm{number}'}",
                    f"--listen-client-urls={scheme}://{endpoint}",
                    f"--advertise-client-urls={scheme}://{endpoint}",
                    f"--listen-peer-urls={peers[number]}",
                    f"--initial-advertise-peer-urls={peers[number]}",
                    f"--initial-cluster={cluster}",
                    f"--initial-cluster-token={directory.name}",
                    f"--heartbeat-interval={heartbeat_ms}",
                    f"--election-timeout={election_ms}",
                    f"--auth-token-ttl={token_ttl}",
                    "--logger=zap",
                    "--log-level=warn",
                    *security,
                ],
                name=f"etcd-m{number}",
                log=directory / f"m{number}.log",
            )
            for number, endpoint in enumerate(self.endpoints)
        ]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def config(self) -> EtcdConfig:
        """How a client reaches it."""
        config = EtcdConfig(self.endpoints)
        if self._authority is not None:
            cert, key = self._authority.issue("client")
            config = dataclasses.replace(config, ca_file=self._authority.ca_file, cert_file=cert, key_file=key)
        return dataclasses.replace(config, username=USER, password=lambda: PASSWORD) if self._auth else config

    def start(self) -> None:
        """Starts every member and waits until each serves. Raises SandboxError."""
        for member in self.members:
            member.start()
        self.wait_ready()
        if self._auth:
            self._enable_auth()

    def stop(self) -> None:
        """Ends every member. Idempotent."""
        for member in self.members:
            member.kill()

    def kill(self, member: int) -> None:
        """SIGKILL."""
        self.members[member].kill()

    def restart(self, member: int) -> None:
        """Starts a member that has ended, on its data, and waits until it serves."""
        self.members[member].start()
        self.wait_ready(member)

    def freeze(self, member: int) -> None:
        """SIGSTOP."""
        self.members[member].freeze()

    def thaw(self, member: int) -> None:
        """SIGCONT."""
        self.members[member].thaw()

    def wait_ready(self, *numbers: int) -> None:
        """Until these members, or all, answer a linearizable read. Raises SandboxError."""
        deadline = time.monotonic() + _READY
        for number in numbers or range(len(self.members)):
            member = self.members[number]
            member.wait_ready(lambda number=number: self._serves(number), deadline - time.monotonic())  # type: ignore[misc]

    def leader(self) -> int:
        """The number of the member that leads. Raises SandboxError where there is none."""
        for number in range(len(self.members)):
            if self.members[number].running:
                with closing(self._channel(number)) as channel:
                    stub: Any = rpc_pb2_grpc.MaintenanceStub(channel)
                    try:
                        status = stub.Status(rpc_pb2.StatusRequest(), timeout=0.5)
                    except grpc.RpcError:  # frozen
                        continue
                if status.leader == status.header.member_id:
                    return number
        raise SandboxError("etcd has no leader")

    def _serves(self, number: int) -> bool:
        with closing(self._channel(number)) as channel:
            stub: Any = rpc_pb2_grpc.KVStub(channel)
            try:
                stub.Range(rpc_pb2.RangeRequest(key=b"/"), timeout=0.5)
            except grpc.RpcError as error:
                # With authentication on, asking for a login is an answer.
                return "user name is empty" in str(error)
            return True

    def _channel(self, number: int) -> grpc.Channel:
        endpoint = self.endpoints[number]
        if self._authority is None:
            return grpc.insecure_channel(endpoint, _LONER)
        return grpc.secure_channel(endpoint, self.config.credentials(), _LONER)

    def _security_flags(self) -> list[str]:
        if self._authority is None:
            return []
        cert, key = self._authority.issue("server")
        return [
            f"--cert-file={cert}",
            f"--key-file={key}",
            f"--trusted-ca-file={self._authority.ca_file}",
            "--client-cert-auth",
        ]

    def _enable_auth(self) -> None:
        keys = prefix("/hedgerow/")
        permission = auth_pb2.Permission(permType=auth_pb2.Permission.READWRITE, key=keys.start, range_end=keys.end)
        with closing(self._channel(0)) as channel:
            auth: Any = rpc_pb2_grpc.AuthStub(channel)
            steps: list[tuple[Callable[..., Any], Any]] = [
                (auth.UserAdd, rpc_pb2.AuthUserAddRequest(name="root", password=_ROOT_PASSWORD)),
                (auth.RoleAdd, rpc_pb2.AuthRoleAddRequest(name="root")),
                (auth.UserGrantRole, rpc_pb2.AuthUserGrantRoleRequest(user="root", role="root")),
                (auth.UserAdd, rpc_pb2.AuthUserAddRequest(name=USER, password=PASSWORD)),
                (auth.RoleAdd, rpc_pb2.AuthRoleAddRequest(name=USER)),
                (auth.RoleGrantPermission, rpc_pb2.AuthRoleGrantPermissionRequest(name=USER, perm=permission)),
                (auth.UserGrantRole, rpc_pb2.AuthUserGrantRoleRequest(user=USER, role=USER)),
                (auth.AuthEnable, rpc_pb2.AuthEnableRequest()),
            ]
            for method, request in steps:
                method(request, timeout=5.0)
