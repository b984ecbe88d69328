"""One cluster of one node for each flavour, which every test here shares; a changefeed and a schema for each test."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.cluster import Cluster
from tests.errors.replication import Replication


@pytest.fixture(scope="package")
def cluster(flavour: Flavour) -> Iterator[Cluster]:
    with Cluster(flavour, nodes=1) as cluster:
        yield cluster
        assert not cluster.unreplicated(), "rows of a table that matches the filter had no dispatcher"


@pytest.fixture
def replication(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Replication]:
    """Not created yet: a test chooses how. Its changefeed is removed at the end, which must always be possible."""
    made = Replication(cluster, re.sub(r"\W+", "_", request.node.name.removeprefix("test_")).lower())
    try:
        yield made
    finally:
        made.close()
