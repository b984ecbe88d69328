"""Rounds: contenders in turns, and who fails."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from bench.contender import BenchError, Contender, take_turns, turns


@dataclass(frozen=True)
class Somebody:
    name: str
    native: bool = False
    live: bool = True

    def replicate(self, *arguments: object) -> object:
        raise AssertionError("nobody is asked to replicate")


A, B, C = (Somebody(name) for name in "ABC")
ALL: list[Contender] = [A, B, C]  # type: ignore[list-item]


def order(contenders: list[Contender], rounds: int) -> list[str]:
    taken = list(turns(contenders, rounds))
    names = {number: "".join(each.name for of, each in taken if of == number) for number in range(1, rounds + 1)}
    assert [number for number, _ in taken] == sorted(number for number, _ in taken)
    return list(names.values())


def test_every_round_has_everybody_and_the_next_one_has_them_backwards() -> None:
    assert order(ALL, 6) == ["ABC", "CBA", "BCA", "ACB", "CAB", "BAC"]
    assert order(ALL[:2], 4) == ["AB", "BA", "BA", "AB"]
    assert order(ALL[:1], 2) == ["A", "A"]


def test_what_grows_from_run_to_run_hits_all_alike_in_two_rounds() -> None:
    for first in (0, 2, 4):
        sums = dict.fromkeys("ABC", 0)
        for at, name in enumerate("".join(order(ALL, 6)[first : first + 2])):
            sums[name] += at
        assert len(set(sums.values())) == 1


def test_whoever_fails_is_told_and_left_out_and_the_others_go_on() -> None:
    said: list[str] = []

    def once(contender: Contender, number: int) -> str:
        if contender.name == "B" and number == 2:
            raise BenchError("no disk")
        return f"{contender.name}{number}"

    runs, failures = take_turns(ALL, 3, once, lambda run: f"ran {run}", said.append)
    assert runs == ["A1", "B1", "C1", "C2", "A2", "C3", "A3"]  # round 3 without B: B C A
    assert failures == ["B: BenchError: no disk"]
    assert "round 2, B: BenchError: no disk" in said
    assert "round 3, A: ran A3" in said


def test_a_mistake_in_the_benchmark_is_not_a_contenders_failure() -> None:
    def once(contender: Contender, number: int) -> str:
        raise KeyError(contender.name)

    with pytest.raises(KeyError):
        take_turns(ALL, 1, once, str, lambda text: None)
