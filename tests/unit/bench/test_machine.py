"""What else the machine did: shares of its CPU, from /proc/stat."""

from __future__ import annotations

import os

import pytest

from bench.machine import Noise, noise, parse_ticks
from bench.measure import TICKS, session_usage, usage

#                user nice system idle iowait irq softirq steal guest guest_nice, in seconds
BEFORE = (100, 10, 50, 800, 20, 1, 9, 10, 0, 0)
AFTER = (130, 10, 70, 837, 23, 1, 9, 20, 0, 0)


def stat(*seconds: int) -> str:
    return "cpu  " + " ".join(str(value * TICKS) for value in seconds) + "\ncpu0 1 2 3\nintr 5\n"


def test_what_others_used_is_what_was_busy_and_not_ours() -> None:
    before, after = parse_ticks(stat(*BEFORE)), parse_ticks(stat(*AFTER))
    assert (after.all - before.all, after.busy - before.busy, after.stolen - before.stolen) == (100, 50, 10)
    assert noise(before, after, 30.0, 2.5) == Noise(2.5, 0.2, 0.1)
    assert noise(before, after, 50.1, 2.5).others == 0.0  # clock ticks of processes and of the machine differ a little


def test_a_kernel_that_tells_less_steals_nothing() -> None:
    ticks = parse_ticks(f"cpu  {TICKS} 0 {TICKS} {2 * TICKS}\n")
    assert (ticks.all, ticks.busy, ticks.stolen) == (4, 2, 0)
    assert noise(ticks, ticks, 0.0, 0.0) == Noise(0.0, 0.0, 0.0)


def test_a_session_has_used_what_its_processes_have() -> None:
    ours = session_usage(os.getsid(0))
    assert ours.cpu_seconds >= usage(os.getpid()).cpu_seconds - 1 / TICKS
    assert ours.resident >= usage(os.getpid()).resident // 2
    with pytest.raises(ProcessLookupError):
        session_usage(2**30)
