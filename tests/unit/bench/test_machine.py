"""What else the machine did: shares of its CPU, from /proc/stat."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from bench.machine import Noise, noise, parse_ticks
from bench.measure import TICKS, members, tree_usage, usage
from hedgerow.sandbox.process import wait_until

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


def test_a_tree_is_a_process_its_descendants_and_its_session() -> None:
    processes = {
        1: (0, 1),
        10: (1, 10),  # the root, a session's leader
        11: (10, 10),
        12: (11, 12),  # in a session of its own, and its child
        13: (12, 12),
        14: (1, 10),  # its parent has ended
        20: (1, 20),
    }
    assert members(10, processes) == {10, 11, 12, 13, 14}
    assert members(13, processes) == {13}


def test_a_tree_has_used_what_its_processes_have() -> None:
    with subprocess.Popen(["/bin/sh", "-c", "(while :; do :; done) & wait"], start_new_session=True) as shell:
        try:
            assert wait_until(lambda: tree_usage(shell.pid).cpu_seconds >= 0.05, 60.0)
            assert usage(shell.pid).cpu_seconds < 0.05
            assert tree_usage(shell.pid).resident > usage(shell.pid).resident
        finally:
            os.killpg(shell.pid, signal.SIGKILL)
    with pytest.raises(ProcessLookupError):
        tree_usage(shell.pid)
