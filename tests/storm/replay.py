"""Plays a story again: all of it, or of its last episode what is needed to go wrong."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from hedgerow.sandbox.wired import WiredCluster
from tests.storm.feed import Feed, Stopped
from tests.storm.judge import Different, compared
from tests.storm.player import Player
from tests.storm.story import Line, step_of

_SHORT_PATIENCE: Final = 40.0

Item = TypeVar("Item")


class Replay:
    """On a cluster without faults. `lenient`: what the source refuses is left out."""

    def __init__(self, cluster: WiredCluster, *, patience: float, lenient: bool = False) -> None:
        self._cluster = cluster
        self._patience = patience
        self._lenient = lenient
        self._changefeeds = 0

    def play(self, lines: Sequence[Line]) -> None:
        """Raises Different, Stopped, Refused."""
        starts = [at for at, line in enumerate(lines) if line["do"] == "episode"]
        for at, end in zip(starts, [*starts[1:], len(lines)], strict=True):
            self._episode(lines[at], lines[at + 1 : end])

    def _episode(self, head: Line, lines: Sequence[Line]) -> None:
        self._changefeeds += 1
        feed = Feed(self._cluster, f"replay{self._changefeeds}", head["rules"])
        feed.prepare()
        orders: dict[str, Callable[[], None]] = {
            "changefeed": feed.create,
            "pause": feed.pause,
            "resume": feed.resume,
            "compare": lambda: _ignore(compared(feed, self._cluster.pair, self._patience)),
            "note": lambda: None,
        }
        with Player(self._cluster.pair.source, lenient=self._lenient) as player:
            try:
                waiting = []
                for line in (*lines, {"do": "compare"}):
                    if line["do"] == "step":
                        waiting.append(step_of(line))
                        continue
                    player.play(waiting)
                    waiting.clear()
                    orders[line["do"]]()
            finally:
                feed.remove()

    def minimise(self, lines: Sequence[Line], seconds: float, tries: int = 2) -> list[Line]:
        """Of the last episode, those of its steps with which it still goes wrong in the same way. `tries`: how often
        what seems right is tried: races need it. Raises ValueError where nothing goes wrong at all."""
        last = max(at for at, line in enumerate(lines) if line["do"] == "episode")
        episode = [line for line in lines[last:] if line["do"] != "note"]
        wanted = self._trouble(episode)
        if not wanted:
            raise ValueError("played again, it goes well")
        deadline = time.monotonic() + seconds
        steps = [at for at, line in enumerate(episode) if line["do"] == "step"]

        def among(kept: Sequence[int]) -> list[Line]:
            chosen = set(kept)
            return [line for at, line in enumerate(episode) if line["do"] != "step" or at in chosen]

        def wrong(kept: Sequence[int]) -> bool:
            return any(self._trouble(among(kept)) == wanted for _ in range(tries))

        return among(reduced(steps, wrong, lambda: time.monotonic() < deadline))

    def _trouble(self, lines: Sequence[Line]) -> str:
        """What kind of trouble it is, so that one is not reduced to another. Empty: none."""
        patience, self._patience, self._lenient = self._patience, _SHORT_PATIENCE, True
        trouble = ""
        try:
            self.play(lines)
        except (Different, Stopped) as error:
            code = re.search(r'"code": "(\w+)"', str(error))
            trouble = f"{type(error).__name__} {code[1] if code else ''}"
        finally:
            self._patience, self._lenient = patience, False
        print(f"{len(lines)} lines: {trouble or 'right'}", flush=True)
        return trouble


def _ignore(_: object) -> None: ...


def reduced(
    items: Sequence[Item], wrong: Callable[[Sequence[Item]], bool], goes_on: Callable[[], bool] = lambda: True
) -> list[Item]:
    """Takes away ever smaller parts as long as what is left is wrong (Zeller's ddmin, complements only)."""
    kept = list(items)
    size = max(1, len(kept) // 2)
    while goes_on():
        at, before = 0, len(kept)
        while at < len(kept) and goes_on():
            candidate = kept[:at] + kept[at + size :]
            if candidate and wrong(candidate):
                kept = candidate
            else:
                at += size
        if size == 1 and len(kept) == before:
            break
        size = max(1, size // 2)
    return kept
