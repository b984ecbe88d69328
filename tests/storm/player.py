"""Plays steps on the source: each session has a connection and a thread, so that sessions truly write side by side.

A step waits for the earlier ones that touch what it touches, and for those of its own session. So the order of all that
depends on one another is the generator's, and the rest is as the server makes it.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

import pymysql
from pymysql.connections import Connection

from hedgerow.sandbox.servers import Server
from tests.storm.generator import SESSIONS, Step
from tests.storm.turn import EVERYTHING

_MOST_IN_FLIGHT: Final = 12
_SECONDS: Final = 300.0  # for one statement
_BEGIN: Final = (
    b"SET SESSION sql_mode = 'STRICT_TRANS_TABLES', lock_wait_timeout = 60, innodb_lock_wait_timeout = 60",
    b"SET NAMES utf8mb4",
)


class Refused(Exception):
    """The source refused a step: the generator's model and the server disagree."""

    def __init__(self, step: Step, error: BaseException) -> None:
        super().__init__(f"step {step.number} ({step.kind}) in session {step.session}: {error}\n  {step.sql}")
        self.step = step


@dataclass(slots=True, eq=False)
class _Task:
    step: Step
    after: list[_Task]
    done: threading.Event = field(default_factory=threading.Event)


class Player:
    """A context manager. `lenient`: what the source refuses is left out, as in a minimised story."""

    def __init__(self, source: Server, *, lenient: bool = False) -> None:
        self.refused = 0
        self._lenient = lenient
        self._connections = [source.connect(read_timeout=_SECONDS, use_unicode=False) for _ in range(SESSIONS)]
        for connection in self._connections:
            for statement in _BEGIN:
                _send(connection, statement)
        self._queues: list[queue.SimpleQueue[_Task | None]] = [queue.SimpleQueue() for _ in range(SESSIONS)]
        self._room = threading.Semaphore(_MOST_IN_FLIGHT)
        self._in_flight: list[_Task] = []
        self._failures: list[Refused] = []
        self._threads = [threading.Thread(target=self._work, args=(n,), name=f"session {n}") for n in range(SESSIONS)]
        for thread in self._threads:
            thread.start()

    def play(self, steps: Iterable[Step], pace: Callable[[], None] = lambda: None) -> None:
        """Returns when all are done. `pace` is called before each. Raises Refused."""
        for step in steps:
            pace()
            while not self._room.acquire(timeout=1.0):
                self._check()
            self._check()
            self._in_flight = [task for task in self._in_flight if not task.done.is_set()]
            task = _Task(step, [other for other in self._in_flight if _meet(step, other.step)])
            self._in_flight.append(task)
            self._queues[step.session].put(task)
        for task in self._in_flight:
            task.done.wait()
        self._check()

    def close(self) -> None:
        for each in self._queues:
            each.put(None)
        for thread in self._threads:
            thread.join()
        for connection in self._connections:
            with contextlib.suppress(pymysql.MySQLError):
                connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _check(self) -> None:
        if self._failures:
            raise self._failures[0]

    def _work(self, session: int) -> None:
        while (task := self._queues[session].get()) is not None:
            try:
                for other in task.after:
                    other.done.wait()
                if not self._failures:
                    _send(self._connections[session], task.step.data)
            except pymysql.MySQLError as error:
                if self._lenient:
                    self.refused += 1
                else:
                    self._failures.append(Refused(task.step, error))
            finally:
                task.done.set()
                self._room.release()


def _send(connection: Connection[Any], statement: bytes) -> None:
    protocol: Any = connection  # bytes, which PyMySQL's type stubs do not know
    protocol.query(statement)
    while protocol._result is not None and protocol._result.has_next:
        protocol.next_result()


def _meet(step: Step, other: Step) -> bool:
    if EVERYTHING in step.touches or EVERYTHING in other.touches:
        return True
    return step.session == other.session or not set(step.touches).isdisjoint(other.touches)
