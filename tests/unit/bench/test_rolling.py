"""What a rolling update tells of pauses: which, how long, and in which part of the update."""

from __future__ import annotations

from bench.pauses import Pause, Sample, pauses
from bench.rolling import Turn, Update


def sample(at: float, *applied: int) -> Sample:
    return Sample(at, applied, tuple(1 for _ in applied))


def test_the_longest_pause_of_each_table_in_a_span() -> None:
    samples = [
        sample(at, first, second) for at, first, second in ((0, 0, 0), (1, 1, 0), (2, 1, 1), (5, 2, 1), (6, 3, 1))
    ]
    assert pauses(samples, 0, 6) == (Pause(2 - 1, 4), Pause(2, 4))
    assert pauses(samples, 5.5, 6) == (Pause(5.5, 0.5), Pause(5.5, 0.5))


def test_a_pause_is_told_with_what_ended_it() -> None:
    turns = (Turn("node2", 10.0, 1.0, 5.0), Turn("node1", 20.0, 1.0, 5.0))
    update = Update(turns, 30.0, {}, {})
    ends = {9.0: "", 10.5: "node2 leaves", 12.0: "node2 starts", 18.0: "node2 is ready", 20.1: "node1 leaves"}
    assert {end: update.phase(Pause(end - 0.1, 0.1)) for end in ends} == ends
