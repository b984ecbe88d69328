"""The servers' own replication, by GTID, over the same network and account as Hedgerow's.

MariaDB: knowledge base "Parallel Replication", optimistic mode. MySQL: manual 19.1.3.4 and 19.2.3, replica workers with
the commit order preserved and dependencies by write sets, both of which are its defaults.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pymysql.cursors import DictCursor

from bench.binlog import Place
from bench.contender import BenchError
from bench.measure import Usage
from hedgerow.sandbox.accounts import SOURCE_USER, Access
from hedgerow.sandbox.process import wait_until
from hedgerow.sandbox.servers import Server

WORKERS = (1, 4, 16)
FETCH_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Native:
    workers: int

    @property
    def name(self) -> str:
        return f"native, {self.workers} worker{'s' if self.workers > 1 else ''}"

    @property
    def native(self) -> bool:
        return True

    @property
    def live(self) -> bool:
        return True

    @contextlib.contextmanager
    def replicate(
        self, source: Server, sink: Server, begin: Place, fetch_to: str | None = None
    ) -> Iterator[NativeSession]:
        session = _SESSIONS[sink.flavour](sink)
        try:
            session.configure(source.account(SOURCE_USER), begin.gtids, self.workers)
            session.query(session.fetch_statement)
            if fetch_to is not None:
                session.wait_fetched(fetch_to)
            session.query(session.apply_statement)
            yield session
        finally:
            session.stop()


class NativeSession:
    """What the two flavours' sessions share: one connection to the sink, and the replica's own status."""

    status_statement: str
    fetch_statement: str
    apply_statement: str

    def __init__(self, sink: Server) -> None:
        self._sink = sink
        self._connection = sink.connect(cursorclass=DictCursor)

    def configure(self, account: Access, begin: str, workers: int) -> None:
        raise NotImplementedError

    def fetched(self, end: str) -> bool:
        """Whether the relay log has all up to the GTID set `end`."""
        raise NotImplementedError

    def wait_fetched(self, end: str) -> None:
        if not wait_until(lambda: self.fetched(end), FETCH_SECONDS, 0.1):
            self.check()
            raise BenchError(f"{self._sink.name} did not copy the binlog within {FETCH_SECONDS:g} s")

    def check(self) -> None:
        """Raises BenchError when it has failed."""
        status = self.status()
        for key in ("Last_IO_Error", "Last_SQL_Error"):
            if status[key]:
                raise BenchError(f"native replication into {self._sink.name} failed: {status[key]}")

    def usage(self) -> Usage | None:
        return None

    def status(self) -> dict[str, Any]:
        (status,) = self.query(self.status_statement)
        return status

    def stop(self) -> None:
        """The sink is thrown away after a run: there is no state to leave in order."""
        self._connection.close()

    def query(self, statement: str, *arguments: object) -> list[dict[str, Any]]:
        with self._connection.cursor() as cursor:
            cursor.execute(statement, arguments or None)
            return list(cursor.fetchall())


class _Mariadb(NativeSession):
    status_statement = "SHOW SLAVE STATUS"
    fetch_statement = "START SLAVE IO_THREAD"
    apply_statement = "START SLAVE SQL_THREAD"

    def configure(self, account: Access, begin: str, workers: int) -> None:
        self.query("SET GLOBAL slave_parallel_mode = 'optimistic'")
        self.query("SET GLOBAL slave_parallel_threads = %s", workers)
        self.query("SET GLOBAL gtid_slave_pos = %s", begin)
        self.query(
            "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = %s, MASTER_USER = %s, MASTER_PASSWORD = %s,"
            " MASTER_USE_GTID = slave_pos",
            account.port,
            account.user,
            account.password,
        )

    def fetched(self, end: str) -> bool:
        return bool(self.status()["Gtid_IO_Pos"] == end)


class _Mysql(NativeSession):
    status_statement = "SHOW REPLICA STATUS"
    fetch_statement = "START REPLICA IO_THREAD"
    apply_statement = "START REPLICA SQL_THREAD"

    def configure(self, account: Access, begin: str, workers: int) -> None:
        self.query("SET GLOBAL replica_parallel_workers = %s", workers)
        self.query("SET GLOBAL gtid_purged = %s", f"+{begin}")
        self.query(
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = %s, SOURCE_USER = %s,"
            " SOURCE_PASSWORD = %s, SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1",
            account.port,
            account.user,
            account.password,
        )

    def fetched(self, end: str) -> bool:
        retrieved = str(self.status()["Retrieved_Gtid_Set"])
        (row,) = self.query("SELECT GTID_SUBSET(%s, CONCAT(@@gtid_executed, ',', %s)) AS fetched", end, retrieved)
        return bool(row["fetched"])


_SESSIONS: dict[str, type[NativeSession]] = {"mariadb": _Mariadb, "mysql": _Mysql}
