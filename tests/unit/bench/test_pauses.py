"""Pauses from samples of the sink."""

from __future__ import annotations

import pytest

from bench.pauses import Sample, measure, summary


def samples(*rows: tuple[float, tuple[int, ...], tuple[int, ...]]) -> list[Sample]:
    return [Sample(*row) for row in rows]


def test_the_longest_gap_of_any_table_and_the_first_transaction_of_the_successor() -> None:
    found = measure(
        samples(
            (0.0, (0, 0), (1, 1)),
            (0.1, (1, 1), (1, 1)),
            (0.2, (2, 2), (1, 1)),
            (0.5, (3, 2), (1, 1)),  # still of the former owner
            (0.6, (3, 2), (2, 1)),  # claimed: nothing applied yet
            (0.8, (4, 2), (2, 2)),
            (1.2, (5, 3), (2, 2)),
        ),
        begun=0.25,
        epoch=1,
    )
    assert found.first == pytest.approx(0.55)
    assert found.last == pytest.approx(0.95)
    assert found.pause == pytest.approx(1.0)  # the second table, from 0.2 to 1.2
    assert found.steady == pytest.approx(0.1)


def test_without_another_epoch_there_is_only_a_pause() -> None:
    found = measure(samples((0, (0,), (1,)), (1, (1,), (1,)), (2, (2,), (1,)), (4, (3,), (1,))), begun=2.5, epoch=1)
    assert (found.first, found.last, found.pause) == (None, None, 2.0)


def test_a_table_that_stands_still_until_the_end_has_paused_until_then() -> None:
    found = measure(samples((0, (0,), (1,)), (1, (1,), (1,)), (2, (2,), (1,)), (9, (2,), (1,))), begun=1.5, epoch=1)
    assert found.pause == 7.0


def test_a_table_that_is_not_applied_again_is_no_measurement() -> None:
    with pytest.raises(ValueError, match="do not cover"):
        measure(samples((0, (0, 0), (1, 1)), (1, (1, 1), (1, 1)), (2, (2, 1), (1, 1))), begun=1.5, epoch=1)


def test_percentiles_are_values_that_were_measured() -> None:
    assert summary([float(value) for value in range(1, 21)]) == {"least": 1, "p50": 10, "p95": 19, "most": 20}
    assert summary([7.0]) == {"least": 7, "p50": 7, "p95": 7, "most": 7}
