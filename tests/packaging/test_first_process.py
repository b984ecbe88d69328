"""The program as the first process of a container, which the kernel gives no default action for signals."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hedgerow.sandbox.process import wait_until

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare"), reason="NOT TESTED: a pid namespace needs root and unshare"
)

TERMINATED = 128 + signal.SIGTERM


@contextmanager
def first_process(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """unshare, whose exit code is that of the command, and the pid of the command outside of its namespace."""
    unshare = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    process = subprocess.Popen(
        [*unshare, sys.executable, "-m", "hedgerow", *arguments], stderr=subprocess.PIPE, text=True
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    try:
        assert wait_until(lambda: children.read_text() != "", 20)
        yield process, int(children.read_text())
    finally:
        process.kill()
        process.communicate()


def handles(pid: int, number: int) -> bool:
    (caught,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt")]
    return bool(int(caught.split()[1], 16) & 1 << (number - 1))


def test_sigterm_ends_a_command_that_waits() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with first_process("changefeed", "list", "--addr", address) as (process, pid):
            connection, _ = silent.accept()
            with connection:
                os.kill(pid, signal.SIGTERM)
                assert process.wait(20) == TERMINATED


def test_sigterm_ends_a_node_that_is_only_starting() -> None:
    with first_process("node", "--etcd", "127.0.0.1:1", "--etcd-patience", "600") as (process, pid):
        assert wait_until(lambda: handles(pid, signal.SIGTERM), 60, 0.001)
        os.kill(pid, signal.SIGTERM)
        # Or 0, where it has come so far as to stop in its own way.
        assert process.wait(20) in (TERMINATED, 0)
