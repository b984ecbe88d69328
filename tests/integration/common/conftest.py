"""One three-member cluster for all tests here; every test has keys of its own, and leaves every member serving."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest

from hedgerow.common.etcd import Etcd
from hedgerow.sandbox.etcd import EtcdCluster


@pytest.fixture(scope="session")
def _cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    with EtcdCluster(tmp_path_factory.mktemp("etcd")) as cluster:
        yield cluster


@pytest.fixture
def cluster(_cluster: EtcdCluster) -> Iterator[EtcdCluster]:
    yield _cluster
    for number, member in enumerate(_cluster.members):
        if member.running:
            _cluster.thaw(number)
        else:
            member.start()
    _cluster.wait_ready()


@pytest.fixture
def root() -> str:
    """A prefix that no other test uses."""
    return f"/hedgerow/{uuid.uuid4()}/"


@pytest.fixture
async def etcd(cluster: EtcdCluster) -> AsyncIterator[Etcd]:
    async with Etcd(cluster.config) as etcd:
        yield etcd
    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert not [task for task in others if task.get_name().startswith(("etcd-", "membership-"))]
