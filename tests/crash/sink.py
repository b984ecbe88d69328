"""A sink with a replica of the server's own kind behind one address, and what holds a DDL statement at each step there.

Nothing of it is in the product's paths: DDL waits for the backup lock of both servers, the journal for row locks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pymysql
from pymysql.cursors import Cursor

from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.accounts import SINK_USER, Access
from hedgerow.sandbox.process import SandboxError, wait_until
from hedgerow.sandbox.proxy import FaultProxy
from hedgerow.sandbox.servers import Option, Server

_LOCK = {"mysql": ["LOCK INSTANCE FOR BACKUP"], "mariadb": ["BACKUP STAGE START", "BACKUP STAGE BLOCK_DDL"]}
_UNLOCK = {"mysql": "UNLOCK INSTANCE", "mariadb": "BACKUP STAGE END"}
_LOGS: dict[Flavour, str] = {"mysql": "log_replica_updates", "mariadb": "log_slave_updates"}
_SECONDS = 20.0


class ReplicatedSink:
    """`primary` is behind `proxy`. The servers change places at every failover."""

    def __init__(self, flavour: Flavour, *, replica_logs: bool = True) -> None:
        """`replica_logs`: a replica has what it applies in its own binlog."""
        self.flavour = flavour
        options: dict[str, Option] = {_LOGS[flavour]: "ON" if replica_logs else "OFF"}
        self.primary = Server(flavour, "sink1", options)
        self.replica = Server(flavour, "sink2", options)
        self.proxy: FaultProxy | None = None

    def start(self) -> None:
        for server in (self.primary, self.replica):
            server.start()
        # The changefeed's URI names one password.
        password = self.primary.account(SINK_USER).password
        ask(
            self.replica, "SET SESSION sql_log_bin = 0; ALTER USER %s@'127.0.0.1' IDENTIFIED BY %s", SINK_USER, password
        )
        self._replicate()
        self.proxy = FaultProxy(self.primary.port)
        self._account = self.primary.account(SINK_USER)

    @property
    def access(self) -> Access:
        """For the changefeed."""
        assert self.proxy is not None
        return self._account.at(self.proxy.host, self.proxy.port)

    def close(self) -> None:
        if self.proxy is not None:
            self.proxy.close()
        self.primary.close()
        self.replica.close()

    def cut(self) -> None:
        assert self.proxy is not None
        self.proxy.cut()

    def fix(self) -> None:
        """Whoever is the primary answers."""
        assert self.proxy is not None
        port = self.proxy.port
        self.proxy.close()
        self.proxy = FaultProxy(self.primary.port, port=port)

    def fail_over(self) -> None:
        """The primary dies when its replica has all that it has committed, and the replica takes its place. The caller
        has cut the sink off."""
        self.wait(lambda: not self.sessions(""), "sessions of the changefeed do not end")
        if self.flavour == "mysql":
            (executed,) = ask(self.primary, "SELECT @@gtid_executed")[0]
            ((waited,),) = ask(self.replica, "SELECT WAIT_FOR_EXECUTED_GTID_SET(%s, 20)", executed)
        else:
            (logged,) = ask(self.primary, "SELECT @@gtid_binlog_pos")[0]
            ((waited,),) = ask(self.replica, "SELECT MASTER_GTID_WAIT(%s, 20)", logged)
        if waited != 0:
            raise SandboxError(f"the sink's replica has not caught up: {ask(self.replica, 'SHOW WARNINGS')}")
        stop = "STOP REPLICA; RESET REPLICA ALL" if self.flavour == "mysql" else "STOP SLAVE; RESET SLAVE ALL"
        ask(self.replica, stop)
        self.primary.kill()
        self.primary, self.replica = self.replica, self.primary

    def crash(self) -> None:
        """The primary dies, whatever it is at, and is started again."""
        self.primary.kill()
        self.primary.start()

    def rejoin(self) -> None:
        """The former primary becomes a replica of the new one."""
        if not self.replica.running:
            self.replica.start()
            self._replicate()

    def _replicate(self) -> None:
        root = self.primary.root
        if self.flavour == "mysql":
            ask(
                self.replica,
                "CHANGE REPLICATION SOURCE TO SOURCE_HOST = %s, SOURCE_PORT = %s, SOURCE_USER = %s,"
                " SOURCE_PASSWORD = %s, SOURCE_AUTO_POSITION = 1, SOURCE_CONNECT_RETRY = 1,"
                " GET_SOURCE_PUBLIC_KEY = 1; START REPLICA",
                *(root.host, root.port, root.user, root.password),
            )
        else:
            ask(
                self.replica,
                "SET GLOBAL gtid_slave_pos = @@GLOBAL.gtid_binlog_pos; CHANGE MASTER TO MASTER_HOST = %s,"
                " MASTER_PORT = %s, MASTER_USER = %s, MASTER_PASSWORD = %s, MASTER_USE_GTID = slave_pos,"
                " MASTER_CONNECT_RETRY = 1; START SLAVE",
                *(root.host, root.port, root.user, root.password),
            )

    # -- holding and seeing -------------------------------------------------------------------------------------------

    @contextmanager
    def ddl_held(self) -> Iterator[None]:
        """Meanwhile no DDL statement gets beyond its beginning; everything else goes on."""
        with self.primary.connect() as connection, connection.cursor() as cursor:
            for statement in _LOCK[self.flavour]:
                cursor.execute(statement)
            yield
            if self.primary.running:
                cursor.execute(_UNLOCK[self.flavour])

    @contextmanager
    def locked(self, condition: str, *arguments: Any) -> Iterator[None]:
        """Rows of hedgerow.ddl, and the gaps beside them."""
        with self.primary.connect(autocommit=False) as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM hedgerow.ddl WHERE {condition} FOR UPDATE", arguments)
            yield
            connection.rollback()

    def sessions(self, statement: str) -> list[int]:
        """Of the changefeed's account, which execute something that begins so; all of its, where it is empty."""
        condition = "info LIKE %s" if statement else "%s = ''"
        rows = ask(
            self.primary,
            f"SELECT id FROM information_schema.processlist WHERE user = %s AND {condition}",
            *(SINK_USER, statement and statement.replace("%", "\\%") + "%"),
        )
        return [int(row[0]) for row in rows]

    def kill(self, sessions: list[int]) -> None:
        for session in sessions:
            try:
                ask(self.primary, f"KILL {session:d}")
            except pymysql.MySQLError as error:
                if error.args[0] != 1094:  # it has ended
                    raise

    def wait(self, condition: Any, problem: str) -> None:
        if not wait_until(condition, _SECONDS, 0.02):
            raise SandboxError(f"{problem}: {ask(self.primary, 'SHOW FULL PROCESSLIST')}")


def ask(server: Server, statements: str, *arguments: Any) -> tuple[tuple[Any, ...], ...]:
    """The last answer. Arguments go to the statements in their order."""
    left = list(arguments)
    with server.connect() as connection, connection.cursor() as cursor:
        for statement in statements.split("; "):
            count = statement.count("%s")
            _execute(cursor, statement, left[:count])
            left = left[count:]
        return tuple(cursor.fetchall())


def _execute(cursor: Cursor, statement: str, arguments: list[Any]) -> None:
    cursor.execute(statement, arguments or None)
