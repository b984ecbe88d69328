"""One cluster per flavour for all drills; their reports come at the end of the run (tests/summary.py).

One drill alone, and what it did: pytest -s tests/drills -k frozen_in_a_transaction
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.drill import Drill, Report
from hedgerow.sandbox.wired import WiredCluster
from tests import summary
from tests.cluster.conftest import check_invariants

StartDrill = Callable[..., Drill]
Judge = Callable[[Report], Report]


@pytest.fixture(scope="package")
def cluster(flavour: Flavour) -> Iterator[WiredCluster]:
    with WiredCluster(flavour) as cluster:
        yield cluster


@pytest.fixture
def start_drill(cluster: WiredCluster) -> Iterator[StartDrill]:
    """start_drill(name, ...) is a Drill to be entered."""

    def start(name: str, **options: Any) -> Drill:
        return Drill(cluster, name, **options)

    yield start
    check_invariants(cluster)
    assert not cluster.unreplicated(), "rows of a table that matches the filter had no dispatcher"


@pytest.fixture
def judge(request: pytest.FixtureRequest) -> Judge:
    """Nothing may be lost or doubled, the table without a key included."""

    def judged(report: Report) -> Report:
        request.node.user_properties.append((summary.DRILL, str(report)))
        print(f"\n{report}")
        assert report.comparison.equal, str(report.comparison)
        assert any(table.table.endswith(".audit") and table.source_rows for table in report.comparison.tables)
        assert report.epochs[1] >= report.epochs[0]
        return report

    return judged
