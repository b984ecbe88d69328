"""What is written to the source: the same every time, and marks that tell that all of it is visible."""

from __future__ import annotations

import itertools

import pytest

from bench.scenarios import MARK, SCENARIOS, Scenario

SCENARIO = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)


@SCENARIO
def test_a_mark_comes_into_every_table_and_is_asked_of_every_table(scenario: Scenario) -> None:
    assert scenario.mark(2) == [(f"INSERT INTO {table} (id) VALUES ({MARK + 2})",) for table in scenario.tables]
    for table in scenario.tables:
        assert f"EXISTS (SELECT 1 FROM {table} WHERE id = {MARK + 2})" in scenario.marked(2)
    assert scenario.marked(2).count("EXISTS") == len(scenario.tables)


@SCENARIO
def test_every_run_writes_the_same_into_all_tables(scenario: Scenario) -> None:
    first, second = (list(itertools.islice(scenario.transactions(), scenario.first)) for _ in range(2))
    assert first == second
    assert len(first) == scenario.first
    text = " ".join(itertools.chain.from_iterable(first))
    assert all(f" {table} " in text for table in scenario.tables)
