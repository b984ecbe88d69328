"""Calling a node's Admin service from a command."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import click
import grpc

from hedgerow.common.config import ClientConfig
from hedgerow.common.control.rpc import open_channel, to_error
from hedgerow.common.errors import NodeUnavailable
from hedgerow.common.pb.v1 import admin_pb2_grpc

# Create runs preflight on two servers, pause and remove wait until every dispatcher has stopped.
DEADLINE_SECONDS = 30.0
SETTINGS = ("addr", "output", "tls_ca", "tls_cert", "tls_key", "token_file")
_FILE = click.Path(path_type=Path, dir_okay=False)


class Client:
    """One command's connection to one node."""

    def __init__(self, config: ClientConfig) -> None:
        self.config = config
        self.json = config.output == "json"

    def call(self, method: str, request: Any) -> Any:
        """The answer of one unary Admin call. Raises HedgerowError."""
        return asyncio.run(self._call(method, request))

    async def _call(self, method: str, request: Any) -> Any:
        async with open_channel(self.config.addr, self.config.credentials()) as channel:
            stub = admin_pb2_grpc.AdminStub(channel)
            try:
                return await getattr(stub, method)(request, timeout=DEADLINE_SECONDS)
            except grpc.aio.AioRpcError as error:
                raise self._explain(error) from None

    def follow(self, method: str, request: Any, handle: Callable[[AsyncIterator[Any]], Awaitable[None]]) -> None:
        """Hands the answers of a streaming call to `handle` until either ends."""
        asyncio.run(self._follow(method, request, handle))

    async def _follow(self, method: str, request: Any, handle: Callable[[AsyncIterator[Any]], Awaitable[None]]) -> None:
        async with open_channel(self.config.addr, self.config.credentials()) as channel:
            stub = admin_pb2_grpc.AdminStub(channel)
            try:
                await handle(getattr(stub, method)(request))
            except grpc.aio.AioRpcError as error:
                raise self._explain(error) from None

    def _explain(self, error: grpc.aio.AioRpcError) -> Exception:
        explained = to_error(error, self.config.addr)
        if type(explained) is NodeUnavailable and self.config.addr in str(explained):
            return NodeUnavailable(
                f"{explained}. Is a node listening there? Choose another with --addr HOST:PORT or HEDGEROW_ADDR"
            )
        return explained


def with_client(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --addr, --output, --client-config and the options of TLS to a command and passes it a Client first."""

    @click.option("--addr", metavar="HOST:PORT", help="Any node of the cluster. [HEDGEROW_ADDR; 127.0.0.1:7300]")
    @click.option(
        "--output", "-o", type=click.Choice(["table", "json"]), help="Tables for people, or JSON for scripts. [table]"
    )
    @click.option(
        "--client-config",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="HEDGEROW_CLIENT_CONFIG",
        help="TOML file with these settings: addr, output, tls_ca, tls_cert, tls_key, token_file.",
    )
    @click.option(
        "--tls-ca", type=_FILE, help="CA certificates for verifying the nodes; turns TLS on. [HEDGEROW_TLS_CA]"
    )
    @click.option("--tls-cert", type=_FILE, help="Your client certificate. [HEDGEROW_TLS_CERT]")
    @click.option("--tls-key", type=_FILE, help="Its key. [HEDGEROW_TLS_KEY]")
    @click.option("--token-file", type=_FILE, help="File with your token. [HEDGEROW_TOKEN_FILE]")
    @functools.wraps(command)
    def wrapped(*args: Any, client_config: Path | None, **kwargs: Any) -> Any:
        config = ClientConfig.load(client_config, {name: kwargs.pop(name) for name in SETTINGS})
        return command(Client(config), *args, **kwargs)

    return wrapped
