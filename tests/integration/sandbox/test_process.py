"""Managed processes: each way to end one, and the ways a parent may lose sight of one."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hedgerow.sandbox.ports import free_port
from hedgerow.sandbox.process import ManagedProcess, SandboxError, running_children, wait_until

Start = Callable[[str], ManagedProcess]
SLEEP = "import time; print('up', flush=True); time.sleep(100)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"


@pytest.fixture
def python(tmp_path: Path) -> Iterator[Start]:
    """A factory of processes that run a program and have printed `up`."""
    started: list[ManagedProcess] = []

    def start(program: str) -> ManagedProcess:
        process = ManagedProcess([sys.executable, "-c", program], name="child", log=tmp_path / f"{len(started)}.log")
        started.append(process)
        process.start()
        process.wait_ready(lambda: "up" in process.log_tail(), 20)
        return process

    yield start
    for process in started:
        process.kill()


def test_terminate_asks_and_kill_does_not(python: Start) -> None:
    assert python(SLEEP).terminate() == -signal.SIGTERM
    stubborn = python(STUBBORN)
    assert stubborn.terminate(0.2) == -signal.SIGKILL
    killed = python(SLEEP)
    assert running_children()[killed.pid] == "child"
    killed.kill()
    assert killed.returncode == -signal.SIGKILL
    assert killed.pid not in running_children()


def test_a_frozen_process_can_be_ended(python: Start) -> None:
    frozen = python(SLEEP)
    frozen.freeze()
    assert frozen.running
    assert frozen.terminate() == -signal.SIGTERM
    again = python(SLEEP)
    again.freeze()
    again.kill()
    assert not again.running


def test_a_process_that_ends_before_it_is_ready_says_how(python: Start) -> None:
    with pytest.raises(SandboxError, match=r"(?s)ended with 3.*why it did"):
        python("import sys; print('why it did'); sys.exit(3)")
    assert "child" not in running_children().values()


def test_a_process_that_is_not_ready_in_time_is_told(python: Start) -> None:
    process = python(SLEEP)
    with pytest.raises(SandboxError, match=r"not ready in 0\.1 s"):
        process.wait_ready(lambda: False, 0.1)


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="cannot start absent"):
        ManagedProcess(["/no/such/program"], name="absent", log=tmp_path / "log").start()


def test_a_process_outlives_the_thread_that_started_it(python: Start) -> None:
    started: list[ManagedProcess] = []
    thread = threading.Thread(target=lambda: started.append(python(SLEEP)))
    thread.start()
    thread.join()
    (process,) = started
    # With PR_SET_PDEATHSIG it would be gone by now, or soon.
    assert not wait_until(lambda: not process.running, 0.3)


def test_a_process_can_be_started_again(python: Start) -> None:
    process = python(SLEEP)
    first = process.pid
    with pytest.raises(SandboxError, match="already running"):
        process.start()
    process.kill()
    process.start()
    assert process.running
    assert process.pid != first


def test_ports_are_free_and_given_once() -> None:
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == len(ports)
    ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert max(ports) < ephemeral
    for _ in range(2):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", ports[0]))
        with socket.create_server(("127.0.0.1", ports[0])):
            socket.create_connection(("127.0.0.1", ports[0])).close()


def test_no_two_processes_are_given_the_same_port() -> None:
    take = "import random, sys; from hedgerow.sandbox.ports import free_port; random.seed(7)"
    take += "; print(*(free_port() for _ in range(20)), flush=True); sys.stdin.read()"
    given: list[int] = []
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            process = stack.enter_context(
                subprocess.Popen([sys.executable, "-c", take], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            assert process.stdout is not None
            given += map(int, process.stdout.readline().split())
    assert len(given) == 60
    assert len(set(given)) == 60
