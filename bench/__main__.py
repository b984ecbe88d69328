"""`make bench`: see docs/performance.md for what is measured and how."""

from __future__ import annotations

import os
import sys
import time

import click
from rich.console import Console

from bench import report
from bench.run import NAMES, Plan, all_passed, run_fire, run_plan
from hedgerow.sandbox.flavours import FLAVOURS, flavours_available

FILE_WIDTH = 140  # columns, where the output is not a terminal


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--flavour", type=click.Choice(FLAVOURS), help="Only this one. [all that are present]")
@click.option("--scenario", "scenarios", type=click.Choice(NAMES), multiple=True, help="May be repeated. [all]")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Of each contender, interleaved.")
@click.option(
    "--rate", type=click.FloatRange(1), default=50.0, show_default=True, help="Latency: transactions a second."
)
@click.option("--quick", is_flag=True, help="A tenth of the size, to see that it works: not a measurement.")
@click.option("--fire", is_flag=True, help="Instead: kill the node again and again, and compare.")
@click.option("--lanes", type=click.IntRange(1, 64), help="Of the changefeed. [its default]")
@click.option("--consistency", type=click.Choice(["table", "transaction"]), help="Of the changefeed. [its default]")
def main(
    flavour: str | None,
    scenarios: tuple[str, ...],
    rounds: int,
    rate: float,
    quick: bool,
    fire: bool,
    lanes: int | None,
    consistency: str | None,
) -> None:
    """Measure Hedgerow next to the servers' own replication on this machine.

    Tells which aims are met. Exits 0 only if nothing failed and every sink was equal to its source.
    """
    console = Console(highlight=False, width=None if sys.stdout.isatty() else FILE_WIDTH)
    given = {"--lanes": lanes, "--consistency": consistency}
    options = tuple(word for name, value in given.items() if value is not None for word in (name, str(value)))
    plan = Plan(scenarios or NAMES, rounds, quick, rate, options)
    began, load = time.monotonic(), os.getloadavg()[0]

    def say(text: str) -> None:
        console.print(f"[dim]{time.monotonic() - began:6.0f} s  {text}[/dim]")

    sections: list[report.Section] = []
    for available in flavours_available():
        if flavour not in (None, available.flavour):
            continue
        if available.program is None:
            console.print(str(available))
            continue
        version = available.program.version
        if fire:
            measured = iter([run_fire(available.flavour, version, plan, say)])
        else:
            measured = run_plan(available.flavour, version, plan, say)
        for section in measured:
            report.show(console, section, judged=not quick)
            sections.append(section)
    settings = {
        "rounds": rounds,
        "quick": quick,
        "rate": rate,
        "options": list(options),
        "fire": fire,
        "load_before": load,
    }
    console.print(f"\neverything is in {report.save(sections, settings)}")
    if quick:
        console.print("[yellow]--quick: sizes are too small for these figures to mean anything[/yellow]")
    sys.exit(0 if all_passed(sections) else 1)


if __name__ == "__main__":
    main()
