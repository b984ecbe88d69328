"""What a terminal is told besides the figures: short windows, machines that are not quiet, whatever failed."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from bench import report
from bench.machine import Noise
from bench.report import Section
from bench.results import ApplyRun

QUIET = Noise(load=2.1, others=0.02, stolen=0.0)


def runs(ours: float, noise: Noise = QUIET) -> list[ApplyRun]:
    native = ApplyRun("native, 4 workers", True, 1, 30.0, 400_000, 400_000, 40.0, 1.0, None, None, None, noise, True)
    node = replace(native, contender="hedgerow", native=False, seconds=ours, node_cpu_seconds=4.0)
    return [native, node]


def section(ours: float = 6.0, *, window: float = 5.0, noise: Noise = QUIET) -> Section:
    return Section("mysql", "9.7.4", "small", "one row", durable=True, window=window, apply=runs(ours, noise))


def shown(each: Section, *, judged: bool = True) -> str:
    console = Console(file=io.StringIO(), width=140, highlight=False)
    report.show(console, each, judged=judged)
    report.show_summary(console, [each])
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_quiet_machine_with_long_windows_raises_no_alarm() -> None:
    text = shown(section())
    assert "mysql 9.7.4, small, sink durable" in text
    assert "the shortest window took 6.00 s\n" in text
    assert "other processes used 2% to 2% of the CPU in the windows" in text
    assert "not a quiet machine" not in text
    assert "at most 20 µs of the node's CPU per transaction: 10.0: met" in text


def test_a_window_that_became_too_short_is_told() -> None:
    assert "the shortest window took 4.90 s: shorter than the 5 s that were wanted" in shown(section(4.9))


def test_quick_windows_are_told_and_nothing_is_judged() -> None:
    text = shown(section(0.3, window=0.0), judged=False)
    assert "the shortest window took 0.30 s: far too short for these figures to mean anything" in text
    assert "met" not in text


@pytest.mark.parametrize(
    "each", [section(noise=Noise(9.0, 0.4, 0.0)), replace(section(), stolen=0.03)], ids=["others", "stolen"]
)
def test_a_machine_that_is_not_quiet_is_told(each: Section) -> None:
    assert "not a quiet machine" in " ".join(shown(each).split())


def test_what_failed_or_differs_does_not_pass() -> None:
    assert section().passed
    failed = replace(section(), failures=["mine: BenchError: it [said] no"])
    assert not failed.passed
    assert "failed: mine: BenchError: it [said] no" in shown(failed)
    different = replace(section(), apply=[replace(run, equal=False, difference="1 missing") for run in runs(6.0)])
    assert not different.passed
    assert "the sink differs from the source: 1 missing" in shown(different)


def test_the_summary_has_the_sink_and_whoever_else_is_the_fastest() -> None:
    (line,) = [line for line in shown(section()).splitlines() if line.startswith("mysql, small")]
    assert line.split()[2:5] == ["durable", "66,667", "5.00"]
    assert "native, 4 workers" in line
    (line,) = [
        line for line in shown(replace(section(), durable=False)).splitlines() if line.startswith("mysql, small")
    ]
    assert line.split()[2:4] == ["not", "durable"]


def test_the_file_has_every_round(tmp_path: Path) -> None:
    report.save(tmp_path / "r.json", [section()], {"rounds": 1})
    (saved,) = json.loads((tmp_path / "r.json").read_text())["sections"]
    assert [run["seconds"] for run in saved["apply"]] == [30.0, 6.0]
    assert saved["apply_rows"][1]["ratio"] == {"least": 5.0, "median": 5.0, "most": 5.0}
    assert saved["apply"][0]["noise"] == {"load": 2.1, "others": 0.02, "stolen": 0.0}
