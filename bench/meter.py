"""What is used between two moments: time, CPU of everybody who takes part, and what else the machine did."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from bench.contender import Session
from bench.machine import Noise, load, noise, ticks
from bench.measure import Usage, cpu_seconds
from hedgerow.sandbox.servers import Server


@dataclass(frozen=True, slots=True)
class Metered:
    """`node_cpu_seconds`: of the processes that replicate; None where that is the sink's server. `node`: what they had
    used at the end since they were started."""

    seconds: float
    sink_cpu_seconds: float
    source_cpu_seconds: float
    node_cpu_seconds: float | None
    node: Usage | None
    noise: Noise


class Meter:
    """Runs from start() to stop()."""

    def __init__(self, source: Server, sink: Server, session: Session) -> None:
        self._source = source
        self._sink = sink
        self._session = session

    def start(self) -> None:
        self._ticks, self._own = ticks(), _own_cpu()
        self._sink_cpu, self._source_cpu = self._servers()
        self._node = self._session.usage()
        self._at = time.monotonic()

    def stop(self, at: float) -> Metered:
        """`at`: the moment, of time.monotonic(), at which it was over."""
        node, (sink, source) = self._session.usage(), self._servers()
        used = sink - self._sink_cpu, source - self._source_cpu
        of_node = node.cpu_seconds - self._node.cpu_seconds if node and self._node else None
        ours = sum(used) + (of_node or 0.0) + _own_cpu() - self._own
        return Metered(at - self._at, *used, of_node, node, noise(self._ticks, ticks(), ours, load()))

    def _servers(self) -> tuple[float, float]:
        return cpu_seconds(self._sink.pid), cpu_seconds(self._source.pid)


def _own_cpu() -> float:
    """Of the benchmark itself, and of those of its processes that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
