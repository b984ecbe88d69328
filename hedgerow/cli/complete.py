"""Names for shell completion, asked from the cluster. A cluster that does not answer at once completes nothing."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import click
import grpc

from hedgerow.cli.client import SETTINGS
from hedgerow.common.config import ClientConfig
from hedgerow.common.control.rpc import open_channel
from hedgerow.common.errors import HedgerowError
from hedgerow.common.pb.v1 import admin_pb2 as pb
from hedgerow.common.pb.v1 import admin_pb2_grpc

_PATIENCE_SECONDS = 1.0


def changefeed_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    answer = _ask(context, "List", pb.ListRequest())
    return [feed.spec.name for feed in answer.changefeeds if feed.spec.name.startswith(incomplete)] if answer else []


def node_ids(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    answer = _ask(context, "ListNodes", pb.ListNodesRequest())
    return [node.info.id for node in answer.nodes if node.info.id.startswith(incomplete)] if answer else []


def _ask(context: click.Context, method: str, request: Any) -> Any:
    async def ask(config: ClientConfig) -> Any:
        async with open_channel(config.addr, config.credentials()) as channel:
            return await getattr(admin_pb2_grpc.AdminStub(channel), method)(request, timeout=_PATIENCE_SECONDS)

    try:
        file = context.params.get("client_config") or os.environ.get("HEDGEROW_CLIENT_CONFIG")
        given = {name: context.params.get(name) for name in SETTINGS}
        return asyncio.run(ask(ClientConfig.load(Path(file) if file else None, given)))
    except (HedgerowError, grpc.aio.AioRpcError):
        return None
