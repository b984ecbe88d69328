"""What a run writes down is what is played again, and only that is kept of it which is needed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.storm.generator import Generator
from tests.storm.replay import reduced
from tests.storm.story import Story, read, step_of


def test_a_story_is_read_as_it_was_told(tmp_path: Path) -> None:
    steps = list(islice(Generator("mariadb", 1), 300))
    story = Story(tmp_path / "logs" / "one.jsonl")
    story.tell("episode", rules=["st*.*"])
    assert list(story.steps(steps)) == steps
    lines = read(story.path)  # while it is still being written
    story.close()
    assert lines[0] == {"do": "episode", "rules": ["st*.*"]}
    assert [step_of(line) for line in lines[1:]] == steps


@given(st.sets(st.integers(0, 60), min_size=1, max_size=4))
def test_only_what_is_needed_is_kept(needed: set[int]) -> None:
    def wrong(items: Sequence[int]) -> bool:
        return needed <= set(items)

    assert reduced(range(61), wrong) == sorted(needed)


def test_reducing_ends_when_its_time_is_over() -> None:
    tried: list[int] = []

    def wrong(items: Sequence[int]) -> bool:
        tried.append(len(items))
        return False

    assert reduced(range(100), wrong, lambda: len(tried) < 5) == list(range(100))
    assert len(tried) == 5
