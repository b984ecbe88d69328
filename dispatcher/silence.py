"""Warns of a sink that does not answer. That is no error: it may be at work. But nobody should wait for it in silence:
a server whose disk is full, for one, waits for room, and says so in its error log only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import structlog

from common.errors import SinkUnavailable
from dispatcher.port import Port
from dispatcher.standing import Standing

SILENT_SECONDS = 15.0  # longer than a batch waits for locks

log = structlog.get_logger()


class Silence:
    """For the lanes of one cycle, in the stream's thread."""

    def __init__(self, sink: str) -> None:
        """`sink`: its address."""
        self._sink = sink
        self._silent: set[Port] = set()

    def look(self, ports: Iterable[Port], standings: Mapping[str, Standing], now: float) -> bool:
        """Marks the dispatchers of each lane that has begun to wait for too long, and unmarks those whose lane goes on;
        whether there were any. `now` is on time.monotonic()."""
        changed = False
        for port in ports:
            is_silent = port.at_work(now) >= SILENT_SECONDS
            if is_silent == (port in self._silent):
                continue
            changed = True
            if is_silent:
                self._silent.add(port)
                log.warning("sink-silent", sink=self._sink, dispatchers=sorted(port.targets))
            else:
                self._silent.discard(port)
            for key in port.targets:
                if is_silent:
                    standings[key].retry(self._error())
                else:
                    standings[key].recover()
        return changed

    def _error(self) -> SinkUnavailable:
        return SinkUnavailable(
            f"sink {self._sink} has been at one batch for more than {SILENT_SECONDS:.0f} s. It may be at work (rows of "
            "tables without a key are searched for one by one), or wait, for room on a full disk for example: SHOW "
            "PROCESSLIST and the error log there tell. Nothing is lost, and replication goes on by itself"
        )
