"""What both sides of a comparison look like to whoever measures them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from bench.measure import Usage
from hedgerow.sandbox.process import SandboxError
from hedgerow.sandbox.servers import Server


class BenchError(SandboxError):
    """A run that cannot be measured: replication failed, or did not end in time."""


class Session(Protocol):
    """A replication that was started."""

    def check(self) -> None:
        """Raises BenchError when it has failed."""
        ...

    def usage(self) -> Usage | None:
        """Of the process that replicates; None where that is the sink's server itself."""
        ...


class Contender(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def native(self) -> bool: ...

    def replicate(
        self, source: Server, sink: Server, begin: str, fetch_to: str | None = None
    ) -> AbstractContextManager[Session]:
        """Starts replicating all that comes after the GTID set `begin`; ends it on exit. One that copies the binlog
        before it applies it begins to apply when it has copied all up to the GTID set `fetch_to`."""
        ...
