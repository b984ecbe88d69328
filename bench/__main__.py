"""`make bench`: see docs/performance.md for what is measured and how."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Iterator
from typing import Any

import click
from rich.console import Console
from rich.markup import escape

from bench import report
from bench.command import BadCommand, CommandLine, parse_contender
from bench.machine import load
from bench.native import WORKERS
from bench.pipe import find_pipe
from bench.plan import NAMES, SINKS, Plan
from bench.run import Say, all_passed, run_fire, run_plan
from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.flavours import FLAVOURS, Program, flavours_available

TABLE_WIDTH = 140  # columns, at least: a narrow terminal breaks lines, and cuts no figures off


class _Contender(click.ParamType[CommandLine]):
    name = "NAME=COMMAND"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> CommandLine:
        try:
            return value if isinstance(value, CommandLine) else parse_contender(str(value))
        except BadCommand as error:
            self.fail(str(error), param, ctx)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--flavour", type=click.Choice(FLAVOURS), help="Only this one. [all that are present]")
@click.option("--scenario", "scenarios", type=click.Choice(NAMES), multiple=True, help="May be repeated. [all]")
@click.option("--sink", type=click.Choice(list(SINKS)), help="Only this one. [all that a scenario is measured with]")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Of each contender, interleaved.")
@click.option(
    "--window",
    type=click.FloatRange(0.1),
    default=5.0,
    show_default=True,
    help="Seconds that the fastest contender is to need at least: the warm-up finds how much must be written for it.",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    multiple=True,
    default=WORKERS,
    show_default=True,
    help="Of native replication; may be repeated.",
)
@click.option(
    "--contender",
    "commands",
    type=_Contender(),
    multiple=True,
    help="NAME='COMMAND': one more, whatever a shell can start; may be repeated. {source_uri}, {sink_uri}, {position}"
    " and others are filled in, see docs/performance.md.",
)
@click.option("--pipe/--no-pipe", default=True, show_default=True, help="mysqlbinlog | mysql as one more.")
@click.option(
    "--rate", type=click.FloatRange(1), default=50.0, show_default=True, help="Latency: transactions a second."
)
@click.option("--quick", is_flag=True, help="Short windows, to see that it works: not a measurement.")
@click.option("--fire", is_flag=True, help="Instead: kill the node again and again, and compare.")
@click.option("--lanes", type=click.IntRange(1, 64), help="Of the changefeed. [its default]")
@click.option("--consistency", type=click.Choice(["table", "transaction"]), help="Of the changefeed. [its default]")
def main(
    flavour: str | None,
    scenarios: tuple[str, ...],
    commands: tuple[CommandLine, ...],
    pipe: bool,
    sink: str | None,
    rounds: int,
    window: float,
    workers: tuple[int, ...],
    rate: float,
    quick: bool,
    fire: bool,
    lanes: int | None,
    consistency: str | None,
) -> None:
    """Measure Hedgerow next to the servers' own replication on this machine.

    Tells which aims are met. Exits 0 only if nothing failed and every sink was equal to its source.
    """
    console = Console(highlight=False)
    console.width = max(console.width, TABLE_WIDTH)
    given = {"--lanes": lanes, "--consistency": consistency}
    options = tuple(word for name, value in given.items() if value is not None for word in (name, str(value)))
    plan = Plan(scenarios or NAMES, rounds, quick, rate, options, window, workers, sink, commands)
    began, load_before = time.monotonic(), load()

    def say(text: str) -> None:
        console.print(f"[dim]{time.monotonic() - began:6.0f} s  {escape(text)}[/dim]")

    settings = {
        "rounds": rounds,
        "quick": quick,
        "window": plan.window,
        "workers": list(workers),
        "rate": rate,
        "options": list(options),
        "commands": {command.name: command.command for command in commands},
        "fire": fire,
        "load_before": load_before,
    }
    sections: list[report.Section] = []
    path = report.new_file()
    for section in _measure(flavour, plan, pipe, fire, say, console):
        report.show(console, section, judged=not quick)
        sections.append(section)
        report.save(path, sections, settings)  # a run takes hours, and may be interrupted
    if not sections:
        console.print("[red]nothing was measured: no scenario that was asked for is measured with this --sink[/red]")
    report.show_summary(console, sections)
    if sections:
        console.print(f"\neverything is in {path}")
    if quick and fire:
        console.print(f"[yellow]--quick: only {plan.fire_seconds:g} s of it, which says little[/yellow]")
    elif quick:
        console.print("[yellow]--quick: windows are too short for these figures to mean anything[/yellow]")
    sys.exit(0 if all_passed(sections) else 1)


def _measure(
    flavour: str | None, plan: Plan, pipe: bool, fire: bool, say: Say, console: Console
) -> Iterator[report.Section]:
    for available in flavours_available():
        if flavour not in (None, available.flavour):
            continue
        if available.program is None:
            console.print(str(available))
        elif fire:
            yield run_fire(available.flavour, available.program.version, plan, say)
        else:
            peers = (*plan.peers, *(_pipe(available.flavour, available.program, console) if pipe else ()))
            whole = dataclasses.replace(plan, peers=peers)
            yield from run_plan(available.flavour, available.program.version, whole, say)


def _pipe(flavour: Flavour, program: Program, console: Console) -> tuple[CommandLine, ...]:
    """Tells what it is, or what is missing for it."""
    found = find_pipe(flavour, program)
    if isinstance(found, str):
        console.print(f"[yellow]{flavour}: {escape(found)}[/yellow]")
        return ()
    console.print(f"{flavour}: {found.name} is {escape(found.command)}")
    return (found,)


if __name__ == "__main__":
    main()
