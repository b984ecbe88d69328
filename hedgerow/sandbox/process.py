"""Child processes of the sandbox: started with a log file, addressed by pid only, never left running.

A ManagedProcess owns one child. A child is in a session of its own, so Ctrl-C in a terminal reaches only the parent,
which then stops its children in order. When the parent dies without doing so, guard.py kills them.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hedgerow.common.errors import HedgerowError
from hedgerow.sandbox import guard


class SandboxError(HedgerowError):
    """A local server cannot be started or used; the message says why and what fixes it."""


class _Guard:
    """This process's end of the pipe to guard.py."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def tell(self, line: str) -> None:
        with self._lock:
            if self._process is None:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", guard.__file__],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    text=True,
                    start_new_session=True,
                )
                atexit.register(self.close)
            assert self._process.stdin is not None
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()

    def close(self) -> None:
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.communicate()


_guard = _Guard()
_running: dict[int, str] = {}


def running_children() -> dict[int, str]:
    """Pid and name of every managed process of this process that was started and not ended: for leak checks."""
    return dict(_running)


def temporary_directory(name: str) -> Path:
    """A new directory for this user only; the guard removes it if this process dies before remove_directory."""
    path = Path(tempfile.mkdtemp(prefix=f"hedgerow-{name}-"))
    try:
        _guard.tell(f">{path}")
    except OSError as error:
        path.rmdir()
        raise SandboxError(f"cannot start the process that cleans up: {error}") from error
    return path


def remove_directory(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    _guard.tell(f"<{path}")


def wait_until(condition: Callable[[], bool], seconds: float, interval: float = 0.02) -> bool:
    """Poll until the condition holds; False when the deadline passed first."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(interval)
    return True


class ManagedProcess:
    """One child process. Can be started again after it has ended; its log file is appended to."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        name: str,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.argv = list(argv)
        self.name = name
        self.log = log
        self._env = env
        self._cwd = cwd
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the child that was started last, ended or not."""
        if self._child is None:
            raise SandboxError(f"{self.name} was never started")
        return self._child.pid

    @property
    def running(self) -> bool:
        """Frozen counts as running."""
        if self._child is None:
            return False
        if self._child.poll() is None:
            return True
        self._ended()
        return False

    @property
    def returncode(self) -> int | None:
        """As in subprocess: negative for a signal, None while running or never started."""
        return None if self._child is None else self._child.poll()

    def start(self) -> None:
        if self.running:
            raise SandboxError(f"{self.name} is already running, pid {self.pid}")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "ab") as log:
            try:
                child = subprocess.Popen(
                    self.argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=None if self._env is None else dict(self._env),
                    cwd=self._cwd,
                    start_new_session=True,
                )
            except OSError as error:
                raise SandboxError(f"cannot start {self.name}: {error}") from error
        self._child = child
        _guard.tell(f"+{child.pid} {guard.start_time(child.pid)}")
        _running[child.pid] = self.name

    def wait_ready(self, ready: Callable[[], bool], seconds: float) -> None:
        """Poll until `ready` holds. SandboxError with the log's end if the process ends or the deadline passes."""

        def ready_or_ended() -> bool:
            return not self.running or ready()

        in_time = wait_until(ready_or_ended, seconds)
        if not self.running:
            raise SandboxError(f"{self.name} ended with {self.returncode}; its log {self.log} ends:\n{self.log_tail()}")
        if not in_time:
            raise SandboxError(f"{self.name} not ready in {seconds:g} s; its log {self.log} ends:\n{self.log_tail()}")

    def wait(self, seconds: float) -> int:
        """Wait for the end; the return code. SandboxError when the deadline passes first."""
        assert self._child is not None
        try:
            code = self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise SandboxError(f"{self.name}, pid {self.pid}, did not end in {seconds:g} s") from None
        self._ended()
        return code

    def terminate(self, seconds: float = 30.0) -> int | None:
        """SIGTERM (thawed if frozen), and SIGKILL when the deadline passes. The return code; None if never started."""
        if self.running:
            self._signal_if_running(signal.SIGTERM)
            self._signal_if_running(signal.SIGCONT)
            try:
                return self.wait(seconds)
            except SandboxError:
                self.kill()
        return self.returncode

    def kill(self) -> None:
        """SIGKILL, and wait for the end. Nothing happens if it is not running."""
        if self.running:
            self._signal_if_running(signal.SIGKILL)
            self.wait(30.0)

    def freeze(self) -> None:
        """SIGSTOP; returns when every thread has stopped."""
        self._signal(signal.SIGSTOP)
        if not wait_until(lambda: _states(self.pid) <= {"T"}, 5.0, 0.001):
            raise SandboxError(f"{self.name}, pid {self.pid}, does not stop: threads in states {_states(self.pid)}")

    def thaw(self) -> None:
        """SIGCONT. Harmless on a process that is not frozen."""
        self._signal(signal.SIGCONT)

    def log_tail(self, lines: int = 20) -> str:
        try:
            with open(self.log, "rb") as log:
                log.seek(max(0, os.fstat(log.fileno()).st_size - 200 * lines))
                return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])
        except OSError as error:
            return f"(no log: {error})"

    def _signal(self, number: signal.Signals) -> None:
        if not self.running or self._child is None:
            raise SandboxError(f"{self.name} is not running")
        self._child.send_signal(number)

    def _signal_if_running(self, number: signal.Signals) -> None:
        """It may end at any moment, also of the signal before this one."""
        assert self._child is not None
        self._child.send_signal(number)  # does nothing where it has ended

    def _ended(self) -> None:
        if _running.pop(self.pid, None) is not None:
            _guard.tell(f"-{self.pid}")


def _states(pid: int) -> set[str]:
    """The states of all threads of a process (proc(5), /proc/pid/stat, field 3)."""
    states = set()
    for task in Path(f"/proc/{pid}/task").glob("*/stat"):
        with contextlib.suppress(OSError):
            states.add(task.read_text().rpartition(")")[2].split()[0])
    return states
