"""A short storm in each flavour. Longer ones, and this one again: make storm ARGS='--flavour mysql --seed 1'."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.wired import WiredCluster
from tests.cluster.conftest import check_invariants
from tests.storm.run import Options, Run
from tests.storm.story import Story

SEED = 1
SECONDS = 20.0  # no round begins later


@pytest.mark.timeout(600)
def test_random_ddl_and_dml_under_random_faults(flavour: Flavour, tmp_path: Path) -> None:
    with contextlib.closing(Story(tmp_path / "storm.jsonl")) as story, WiredCluster(flavour) as cluster:
        result = Run(cluster, Options(flavour, SEED, steps=80), story).go(SECONDS)
        print(f"\n{flavour}: {result}")
        assert not result.trouble, f"{result}\n{story.path.read_text()}"
        check_invariants(cluster)
    assert result.steps.total() >= 80
    assert result.faults.total() > 0
    assert result.compared["tables"] > 0
