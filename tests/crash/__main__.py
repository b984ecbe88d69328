"""The whole crash matrix, printed as a table of outcomes: make crash-matrix."""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter

from hedgerow.sandbox.flavours import FLAVOURS, flavours_available
from tests.crash.matrix import CELLS, MEANWHILES, STATEMENTS, STEPS, VICTIMS, Cell, run_all


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flavour", choices=FLAVOURS, help="only this one")
    parser.add_argument("--only", default="", help="cells whose description contains this")
    parser.add_argument("--sample", type=int, default=0, help="as many cells, taken at random")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.add_argument("--silent-replica", action="store_true", help="the sink's replica does not log what it applies")
    options = parser.parse_args()
    logs = not options.silent_replica
    cells = [cell for cell in CELLS if options.only in str(cell)]
    if options.sample:
        cells = random.Random(options.seed).sample(cells, min(options.sample, len(cells)))
    failed = 0
    for found in flavours_available():
        if options.flavour and found.flavour != options.flavour:
            continue
        if not found.available:
            print(f"NOT TESTED: {found}", flush=True)
            continue
        outcomes: dict[Cell, str] = {}
        for number, (cell, outcome, seconds) in enumerate(run_all(found.flavour, cells, replica_logs=logs), 1):
            print(f"{found.flavour} {number}/{len(cells)} {cell}: {outcome} ({seconds:.0f} s)", flush=True)
            outcomes[cell] = outcome
        print_table(found.flavour, outcomes)
        failed += sum(outcome.startswith("FAILED") for outcome in outcomes.values())
    return 1 if failed else 0


def print_table(flavour: str, outcomes: dict[Cell, str]) -> None:
    """Per statement and step: the outcomes over victims and what happened meanwhile."""
    print(f"\n{flavour}: {len(outcomes)} of {len(STATEMENTS) * len(STEPS) * len(VICTIMS) * len(MEANWHILES)} cells")
    for statement in STATEMENTS:
        for step in STEPS:
            mine = [
                out.partition(" ")[0] if out.startswith("FAILED") else out
                for cell, out in outcomes.items()
                if (cell.statement, cell.step) == (statement, step)
            ]
            counted = ", ".join(f"{count} {outcome}" for outcome, count in sorted(Counter(mine).items()))
            print(f"  {statement:14} {step:14} {counted or '-'}")
    total = Counter("FAILED" if out.startswith("FAILED") else out for out in outcomes.values())
    print(f"  {', '.join(f'{count} {outcome}' for outcome, count in sorted(total.items()))}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
