"""What is written to the source: the same every time, and as many transactions as the marks say."""

from __future__ import annotations

import itertools

import pytest

from bench.scenarios import MARK, MARKS, SCENARIOS, Scenario, mark_query


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_marks_tell_how_far_a_sink_is(scenario: Scenario) -> None:
    written = list(scenario.write(2 * MARKS))
    sizes = scenario.mark_sizes(2 * MARKS)
    assert len(written) == sizes[-1]
    for mark, size in itertools.islice(enumerate(sizes), 1, None):
        last = written[size - len(scenario.tables) : size]
        assert last == [(f"INSERT INTO {table} (id) VALUES ({MARK + mark})",) for table in scenario.tables]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_every_run_writes_the_same_into_all_tables(scenario: Scenario) -> None:
    first, second = list(scenario.write(2 * MARKS)), list(scenario.write(2 * MARKS))
    assert first == second
    text = " ".join(itertools.chain.from_iterable(first))
    assert all(f" {table} " in text for table in scenario.tables)


def test_the_query_for_marks_asks_every_table() -> None:
    assert mark_query(("a", "b")).count("SELECT MAX(id)") == 2
    assert "LEAST" not in mark_query(("a",))
