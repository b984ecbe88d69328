"""python -m tests.storm: random DDL and DML under random faults. `make storm ARGS='--flavour mysql --minutes 30'`.

Exit code 0: everything was equal. 1: it was not, or the changefeed failed or got stuck; seed, statement log and the
nodes' logs are named.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import time
from pathlib import Path

from hedgerow.sandbox.wired import WiredCluster
from tests.storm.feed import Stopped
from tests.storm.generator import GROUPS
from tests.storm.judge import Different
from tests.storm.left_out import LEFT_OUT
from tests.storm.player import Refused
from tests.storm.replay import Replay
from tests.storm.run import WAYS, Options, Run
from tests.storm.story import Line, Story, read


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.storm", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--flavour", choices=("mariadb", "mysql"), default="mariadb")
    parser.add_argument("--minutes", type=float, default=3.0, help="no round begins later (default: %(default)g)")
    parser.add_argument("--seed", type=int, help="of statements and faults (default: any)")
    parser.add_argument("--steps", type=int, default=120, help="statements in a round (default: %(default)d)")
    parser.add_argument("--without", nargs="*", default=[], choices=GROUPS, metavar="GROUP", help=", ".join(GROUPS))
    parser.add_argument("--way", choices=WAYS, help="only this way of starting the changefeed")
    parser.add_argument("--no-faults", action="store_true", help="nothing is killed, frozen, cut off, moved")
    parser.add_argument("--patience", type=float, default=180.0, help="seconds without progress until it is stuck")
    parser.add_argument("--left-out", action="store_true", help="list what is never generated, and why")
    parser.add_argument("--replay", type=Path, metavar="LOG", help="play this log again instead, without faults")
    parser.add_argument("--minimise", action="store_true", help="with --replay: take away all that is not needed")
    parser.add_argument(
        "--log", type=Path, default=Path("build/storm"), help="directory of logs (default: %(default)s)"
    )
    given = parser.parse_args()
    if given.left_out:
        print("\n".join(f"{what}: {why}" for what, why in LEFT_OUT.items()))
        return 0
    return replay(given) if given.replay else storm(given)


def storm(given: argparse.Namespace) -> int:
    seed = random.randrange(1 << 32) if given.seed is None else given.seed
    options = Options(
        given.flavour,
        seed,
        given.steps,
        tuple(given.without),
        (given.way,) if given.way else WAYS,
        not given.no_faults,
        given.patience,
    )
    story = Story(given.log / f"{given.flavour}-{seed}-{time.strftime('%H%M%S')}.jsonl")
    print(f"storm: {given.flavour}, seed {seed}, {given.minutes:g} min, log {story.path}", flush=True)
    with contextlib.closing(story), WiredCluster(given.flavour) as cluster:
        result = Run(cluster, options, story).go(given.minutes * 60)
    print(result)
    if result.trouble:
        print(f"its log: {story.path}, and the nodes' beside it")
        print(f"again: python -m tests.storm --replay {story.path}, or --flavour {given.flavour} --seed {seed}")
    return 1 if result.trouble else 0


def replay(given: argparse.Namespace) -> int:
    lines = read(given.replay)
    with WiredCluster(lines[0]["flavour"]) as cluster:
        player = Replay(cluster, patience=given.patience)
        if given.minimise:
            return minimise(player, given.replay, lines, given.minutes * 60)
        try:
            player.play(lines)
        except (Different, Stopped, Refused) as trouble:
            print(f"{type(trouble).__name__}: {trouble}")
            return 1
    print("differences: 0")
    return 0


def minimise(player: Replay, path: Path, lines: list[Line], seconds: float) -> int:
    kept = player.minimise(lines, seconds)
    place = path.with_suffix(".min.jsonl")
    story = Story(place)
    for line in (lines[0], *kept):
        story.tell(**line)
    story.close()
    for line in kept:
        print(f"session {line['session']}: {line['sql']};" if line["do"] == "step" else f"-- {line['do']}")
    print(f"{len(kept)} lines of {len(lines)}: {place}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
