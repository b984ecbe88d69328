"""A run: episodes of rounds on one cluster. See __main__.py for what there is to choose.

An episode is a changefeed with its own schemas. It begins either before its statements (live) or after them, at the
position before the first (catch-up); then come rounds: statements while nodes are killed, frozen, cut off and moved,
then quiet, the wait until the sink has reached the source's end, and the comparison. In every third round the
changefeed is paused meanwhile.
"""

from __future__ import annotations

import random
import shutil
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Literal

from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.storm import Storm
from hedgerow.sandbox.wired import WiredCluster
from tests.storm.feed import Feed
from tests.storm.generator import Generator, Step
from tests.storm.judge import compared
from tests.storm.names import FILTER
from tests.storm.player import Player
from tests.storm.story import Story

Way = Literal["live", "catch-up"]
WAYS: Final[tuple[Way, ...]] = ("live", "catch-up")
_ROUNDS: Final = 3  # of an episode
_BURST: Final = (3, 25)  # statements that follow one another at once
_CALM_SECONDS: Final = (0.0, 2.0)
_FAULT_SECONDS: Final = 3600.0  # faults end with the statements


@dataclass(frozen=True, slots=True)
class Options:
    flavour: Flavour
    seed: int
    steps: int = 120  # of a round
    without: tuple[str, ...] = ()
    ways: tuple[Way, ...] = WAYS
    faults: bool = True
    patience: float = 180.0  # seconds without progress before the sink counts as stuck


@dataclass(slots=True)
class Result:
    """`trouble` is what ended the run; empty: nothing did."""

    seed: int
    steps: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    rounds: Counter[str] = field(default_factory=Counter)
    compared: Counter[str] = field(default_factory=Counter)
    trouble: str = ""
    seconds: float = 0.0

    def __str__(self) -> str:
        lines = [
            f"seed {self.seed}, {self.seconds:.0f} s, rounds: {_listed(self.rounds)}",
            f"statements {self.steps.total()}: {_listed(self.steps)}",
            f"faults {self.faults.total()}: {_listed(self.faults)}",
            f"compared: {_listed(self.compared)}",
            f"differences: {'0' if not self.trouble else 'see below'}",
        ]
        return "\n".join([*lines, *([self.trouble] if self.trouble else [])])


class Run:
    def __init__(self, cluster: WiredCluster, options: Options, story: Story) -> None:
        self.result = Result(options.seed)
        self._cluster = cluster
        self._options = options
        self._story = story
        self._chance = random.Random(options.seed)
        self._episodes = 0
        story.tell("head", flavour=options.flavour, seed=options.seed, steps=options.steps, without=options.without)

    def go(self, seconds: float) -> Result:
        """Begins no round after `seconds`. What goes wrong ends the run and stands in the result."""
        began = time.monotonic()
        deadline = began + seconds
        try:
            while time.monotonic() < deadline:
                self._episode(deadline)
        except Exception as error:  # whatever it is, its story and the nodes' logs are worth more than a traceback
            self.result.trouble = f"{type(error).__name__}: {error}"
            self._story.tell("note", trouble=self.result.trouble, at=traceback.format_exception(error))
            self._keep_logs()
        self.result.seconds = time.monotonic() - began
        return self.result

    def _episode(self, deadline: float) -> None:
        number = self._episodes
        self._episodes += 1
        options = self._options
        way = options.ways[number % len(options.ways)]
        rules = FILTER if number % 4 < 2 else ()
        feed = Feed(self._cluster, f"storm{number}", rules)
        feed.prepare()
        generator = Generator(options.flavour, options.seed + number, without=options.without)
        self._story.tell("episode", number=number, way=way, rules=rules)
        with Player(self._cluster.pair.source) as player:
            try:
                if way == "live":
                    self._create(feed)
                for turn in range(_ROUNDS):
                    if turn and time.monotonic() >= deadline:
                        break
                    self._round(feed, generator, player, way if not turn else "paused" if turn == 2 else "live")
            finally:
                feed.remove()

    def _create(self, feed: Feed) -> None:
        self._story.tell("changefeed")
        feed.create()

    def _round(self, feed: Feed, generator: Generator, player: Player, way: str) -> None:
        self.result.rounds[way] += 1
        if way == "catch-up":
            player.play(self._told(generator), self._pace)
            self._create(feed)
            self._under_faults(feed, lambda: self._watch(feed))
        elif way == "paused":
            self._story.tell("pause")
            feed.pause()
            player.play(self._told(generator), self._pace)
            self._story.tell("resume")
            feed.resume()
        else:
            self._under_faults(feed, lambda: player.play(self._told(generator), self._pace))
        self._story.tell("compare")
        verdict = compared(feed, self._cluster.pair, self._options.patience)
        self.result.compared.update(tables=verdict.tables, rows=verdict.rows, definitions=verdict.definitions)

    def _watch(self, feed: Feed) -> None:
        """A while under faults; whether it arrives is judged when they are over."""
        until = time.monotonic() + self._chance.uniform(5.0, 15.0)
        while time.monotonic() < until:
            feed.check()
            time.sleep(0.5)

    def _told(self, generator: Generator) -> Iterator[Step]:
        for steps in (islice(generator, self._options.steps), generator.settle()):
            for step in self._story.steps(steps):
                self.result.steps[step.kind] += 1
                yield step

    def _pace(self) -> None:
        """Bursts, with some rest between them."""
        if self._chance.random() < 2.0 / sum(_BURST):
            time.sleep(self._chance.uniform(*_CALM_SECONDS))

    def _under_faults(self, feed: Feed, work: Callable[[], None]) -> None:
        if not self._options.faults:
            work()
            return
        storm = Storm(self._cluster, feed.name, self._options.seed * 1000 + self.result.rounds.total())
        troubles: list[BaseException] = []

        def rage() -> None:
            try:
                storm.rage(_FAULT_SECONDS)
            except BaseException as error:
                troubles.append(error)

        thread = threading.Thread(target=rage, name="faults")
        thread.start()
        try:
            work()
        finally:
            storm.calm()
            thread.join()
            self.result.faults.update(storm.done)
            self._story.tell("note", faults=dict(storm.done))
        if troubles:
            feed.check()
            raise troubles[0]

    def _keep_logs(self) -> None:
        place = self._story.path.with_suffix(".logs")
        place.mkdir(exist_ok=True)
        for node in self._cluster.nodes:
            if node.process.log.exists():
                shutil.copy(node.process.log, place)
        for server in (self._cluster.pair.source, self._cluster.pair.sink):
            shutil.copy(server.log, place / f"{server.name}.log")


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{what} {count}" for what, count in sorted(counts.items())) or "none"
