"""The process that cleans up when its parent dies without doing so itself, by SIGKILL too.

It is run by path, one per parent (see process.py), and reads lines from a pipe whose other end only the parent holds.
The pipe's end is the parent's end: then every process still registered is killed and every directory still registered
is removed. PR_SET_PDEATHSIG would be simpler, but it fires when the *thread* that started the child ends, and it needs
code between fork and exec, which a process with gRPC's threads must not run.

    +PID START   kill this process; START is its start time, so that a reused pid is left alone
    -PID         it has ended
    >PATH        remove this directory
    <PATH        it is gone

Standard library only, and nothing of this package: it must start in a few milliseconds.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time


def start_time(pid: int) -> str:
    """When a process started, in clock ticks after boot; empty if there is none (proc(5), /proc/pid/stat, field 22)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return stat.read().rpartition(b")")[2].split()[19].decode()
    except OSError:
        return ""


def main() -> None:
    processes: dict[int, str] = {}
    directories: set[str] = set()
    for line in sys.stdin:
        kind, rest = line[0], line[1:].rstrip("\n")
        if kind == "+":
            pid, _, started = rest.partition(" ")
            processes[int(pid)] = started
        elif kind == "-":
            processes.pop(int(rest), None)
        elif kind == ">":
            directories.add(rest)
        elif kind == "<":
            directories.discard(rest)
    for pid, started in processes.items():
        if start_time(pid) == started:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while any(start_time(pid) == started for pid, started in processes.items()) and time.monotonic() < deadline:
        time.sleep(0.01)
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
