"""A node's two doors over real TLS sockets, with services in it that answer everything."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from hedgerow.common.config import NodeConfig
from hedgerow.common.control.rpc import Server, open_channel
from hedgerow.common.control.security.build import Security
from hedgerow.common.control.security.methods import Role
from hedgerow.common.control.security.tls import TlsFiles, channel_credentials
from hedgerow.common.control.security.tokens import entry_line, new_token
from hedgerow.common.pb.v1 import admin_pb2 as pb
from hedgerow.common.pb.v1 import admin_pb2_grpc, dispatch_pb2_grpc, maintainer_pb2_grpc
from hedgerow.sandbox.certificates import Authority

PEOPLE = {"victor": Role.VIEWER, "olga": Role.OPERATOR, "ada": Role.ADMIN, "node1": Role.NODE, "stranger": None}


def prepared(base: type, service: str) -> Any:
    """A servicer of `base` whose every method answers with an empty message."""
    made = {path.rpartition("/")[2]: _answering(response) for path, _, response in methods_of(service)}
    return type(base.__name__, (base,), made)()


def _answering(response: type[Message]) -> Any:
    async def answer(self: Any, request: Any, context: Any) -> Any:
        return response()

    return answer


async def _watch(self: Any, request: Any, context: Any) -> AsyncIterator[Any]:
    yield pb.Changefeed()


def methods_of(service: str) -> list[tuple[str, type[Message], type[Message]]]:
    """Path, request and response of every method of a service."""
    found = descriptor_pool.Default().FindServiceByName(service)
    return [
        (f"/{service}/{one.name}", GetMessageClass(one.input_type), GetMessageClass(one.output_type))
        for one in found.methods
    ]


@dataclass
class House:
    """`address`: where certificates are asked for; `token_address`: where tokens are."""

    authority: Authority
    directory: Path
    tokens: dict[str, str]
    config: NodeConfig
    address: str = ""
    token_address: str = ""

    @property
    def node_ca(self) -> Path:
        """What the node trusts."""
        assert self.config.tls_ca is not None
        return self.config.tls_ca

    @property
    def audit(self) -> list[dict[str, Any]]:
        file = self.directory / "audit.log"
        return [json.loads(line) for line in file.read_text().splitlines()]

    def files(self, name: str) -> TlsFiles:
        cert, key = self.authority.issue(name)
        return TlsFiles(self.authority.ca_file, cert, key)

    def channel(self, name: str | None, authority: Authority | None = None) -> grpc.aio.Channel:
        """With the certificate of `name`; None: with none."""
        files = self.files(name) if name else TlsFiles(self.authority.ca_file)
        if name and authority is not None:
            files = TlsFiles(self.authority.ca_file, *authority.issue(name))
        return open_channel(self.address, channel_credentials(files.read()))

    def token_channel(self, token: str | None) -> grpc.aio.Channel:
        credentials = channel_credentials(TlsFiles(self.authority.ca_file).read())
        if token is not None:
            credentials = grpc.composite_channel_credentials(credentials, grpc.access_token_call_credentials(token))
        return open_channel(self.token_address, credentials)


@asynccontextmanager
async def open_house(directory: Path, admin: Any = None, **settings: Any) -> AsyncIterator[House]:
    authority = Authority(directory / "tls")
    cert, key = authority.issue("node1")
    node_ca = directory / "node-ca.pem"  # the node's own copy: what its users trust is their affair
    node_ca.write_bytes(authority.ca_file.read_bytes())
    tokens = {role.value: new_token() for role in Role if role.for_users}
    token_file = directory / "tokens"
    token_file.write_text("\n".join(entry_line(f"{role}s", Role(role), token) for role, token in tokens.items()))
    given = {
        "name": "node1",
        "tls_ca": node_ca,
        "tls_cert": cert,
        "tls_key": key,
        **{f"role_{role}": (f"CN:{name}",) for name, role in PEOPLE.items() if role},
        "token_listen": "127.0.0.1:0",
        "token_hashes": token_file,
        "audit_log": directory / "audit.log",
        **settings,
    }
    config = NodeConfig.load(None, given)
    security = Security.build(config)
    assert security.tls is not None
    assert security.tokens is not None

    servicer = admin or prepared(admin_pb2_grpc.AdminServicer, "hedgerow.v1.Admin")
    if admin is None:
        type(servicer).Watch = _watch
    server = Server(security.peers, connection_age=config.tls_connection_age)
    server.add("hedgerow.v1.Admin", admin_pb2_grpc.add_AdminServicer_to_server, servicer)
    host = prepared(maintainer_pb2_grpc.MaintainerHostServicer, "hedgerow.v1.MaintainerHost")
    server.add("hedgerow.v1.MaintainerHost", maintainer_pb2_grpc.add_MaintainerHostServicer_to_server, host)
    dispatch = prepared(dispatch_pb2_grpc.DispatchServicer, "hedgerow.v1.Dispatch")
    server.add("hedgerow.v1.Dispatch", dispatch_pb2_grpc.add_DispatchServicer_to_server, dispatch)
    token_server = Server(security.tokens, for_users=True, connection_age=config.tls_connection_age)
    token_server.add("hedgerow.v1.Admin", admin_pb2_grpc.add_AdminServicer_to_server, servicer)
    port = await server.start("127.0.0.1:0", security.tls.server_credentials(client_certificates=True))
    token_port = await token_server.start("127.0.0.1:0", security.tls.server_credentials(client_certificates=False))
    house = House(authority, directory, tokens, config, f"127.0.0.1:{port}", f"127.0.0.1:{token_port}")
    try:
        yield house
    finally:
        await server.stop(0)
        await token_server.stop(0)
        security.audit.close()
