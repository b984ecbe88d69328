"""An etcd member for the session, emptied between tests, and nodes on it that are closed after each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from hedgerow.common.etcd import Delete, Etcd, EtcdConfig, prefix
from hedgerow.common.ids import Keys
from hedgerow.sandbox.etcd import EtcdCluster
from tests.integration.coordinator.nodes import CLUSTER, Node


class StartNode(Protocol):
    def __call__(self, name: str, *, ttl: int = 30, coordinates: bool = True) -> Awaitable[Node]: ...


@pytest.fixture(scope="session")
def _etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    directory: Path = tmp_path_factory.mktemp("etcd")
    with EtcdCluster(directory, members=1) as cluster:
        yield cluster


@pytest.fixture
async def etcd_config(_etcd: EtcdCluster) -> AsyncIterator[EtcdConfig]:
    yield _etcd.config
    async with Etcd(_etcd.config) as etcd:
        left = await etcd.range(prefix(Keys(CLUSTER).root))
        if left.items:
            await etcd.txn([], [Delete(key) for key in left.items])


@pytest.fixture
async def start_node(etcd_config: EtcdConfig) -> AsyncIterator[StartNode]:
    nodes: list[Node] = []

    async def start(name: str, *, ttl: int = 30, coordinates: bool = True) -> Node:
        node = await Node.start(etcd_config, name, ttl=ttl, coordinates=coordinates)
        nodes.append(node)
        return node

    yield start
    for node in reversed(nodes):
        await node.close()
