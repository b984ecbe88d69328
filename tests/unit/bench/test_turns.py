"""Rounds: contenders in turns, and who fails."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from bench.contender import BenchError, Contender, rotations, take_turns


@dataclass(frozen=True)
class Somebody:
    name: str
    native: bool = False
    live: bool = True

    def replicate(self, *arguments: object) -> object:
        raise AssertionError("nobody is asked to replicate")


A, B, C = (Somebody(name) for name in "ABC")
ALL: list[Contender] = [A, B, C]  # type: ignore[list-item]


def test_every_round_has_everybody_and_begins_with_another_one() -> None:
    assert [(number, each.name) for number, each in rotations(ALL, 4)] == [
        *((1, "A"), (1, "B"), (1, "C")),
        *((2, "B"), (2, "C"), (2, "A")),
        *((3, "C"), (3, "A"), (3, "B")),
        *((4, "A"), (4, "B"), (4, "C")),
    ]


def test_whoever_fails_is_told_and_left_out_and_the_others_go_on() -> None:
    said: list[str] = []

    def once(contender: Contender, number: int) -> str:
        if contender.name == "B" and number == 2:
            raise BenchError("no disk")
        return f"{contender.name}{number}"

    runs, failures = take_turns(ALL, 3, once, lambda run: f"ran {run}", said.append)
    assert runs == ["A1", "B1", "C1", "C2", "A2", "C3", "A3"]
    assert failures == ["B: BenchError: no disk"]
    assert "round 2, B: BenchError: no disk" in said
    assert "round 3, A: ran A3" in said


def test_a_mistake_in_the_benchmark_is_not_a_contenders_failure() -> None:
    def once(contender: Contender, number: int) -> str:
        raise KeyError(contender.name)

    with pytest.raises(KeyError):
        take_turns(ALL, 1, once, str, lambda text: None)
