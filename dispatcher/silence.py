"""Warns of a sink that does not answer. That is no error: it may be at work. But nobody should wait for it in silence:
a server whose disk is full, for one, waits for room, and says so in its error log only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import structlog

from common.errors import SinkUnavailable
from common.pb.v1 import model_pb2 as pb
from dispatcher.port import Port
from dispatcher.standing import Standing

SILENT_SECONDS = 15.0  # longer than a batch waits for locks

log = structlog.get_logger()


class Silence:
    """For the lanes of one cycle, in the stream's thread."""

    def __init__(self, sink: str) -> None:
        """`sink`: its address."""
        self._sink = sink
        self._marked: dict[Port, list[Standing]] = {}

    def look(self, ports: Iterable[Port], standings: Mapping[str, Standing], now: float) -> bool:
        """Marks the running dispatchers of each lane that has begun to wait for too long, and unmarks them when it goes
        on; whether there were any. `now` is on time.monotonic(). Whoever waits at a DDL or shows an error is left as it
        is: maintainers decide by that."""
        changed = False
        for port in ports:
            is_silent = port.at_work(now) >= SILENT_SECONDS
            if is_silent == (port in self._marked):
                continue
            changed = True
            if is_silent:
                log.warning("sink-silent", sink=self._sink, dispatchers=sorted(port.targets))
                running = [standings[key] for key in port.targets if standings[key].state == pb.RUNNING]
                for standing in running:
                    standing.retry(self._error())
                self._marked[port] = running
            else:
                for standing in self._marked.pop(port):
                    standing.recover()
        return changed

    def _error(self) -> SinkUnavailable:
        return SinkUnavailable(
            f"sink {self._sink} has been at one batch for more than {SILENT_SECONDS:.0f} s. It may be at work (rows of "
            "tables without a key are searched for one by one), or wait, for room on a full disk for example: SHOW "
            "PROCESSLIST and the error log there tell. Nothing is lost, and replication goes on by itself"
        )
