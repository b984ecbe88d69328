"""A changefeed of the shared cluster over two tables of its own, one with a key and one without any."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pymysql
from pymysql.connections import Connection

from hedgerow.cli.render import changefeed_dict
from hedgerow.common.errors import HedgerowError
from hedgerow.common.pb.v1 import admin_pb2 as pb
from hedgerow.common.pb.v1 import model_pb2
from hedgerow.sandbox.accounts import SINK_USER, SOURCE_USER, Access
from hedgerow.sandbox.cluster import Cluster
from hedgerow.sandbox.compare import wait_until_equal
from hedgerow.sandbox.proxy import FaultProxy
from hedgerow.sandbox.servers import Server

TABLES = {
    "keyed": "(id INT PRIMARY KEY, v INT, w VARCHAR(2000))",
    "keyless": "(v INT, w VARCHAR(20))",
}
SECONDS = 20.0


class Replication:
    """`schema` is the changefeed's name too. `source` and `sink` can be replaced before `create`."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = self.schema = name[:40].rstrip("_")
        self.source: Server = cluster.pair.source
        self.sink: Server = cluster.pair.sink
        self.source_uri = cluster.pair.source_uri
        self.sink_uri = cluster.pair.sink_uri
        self._client = cluster.nodes[0].client()
        self._written = 0
        self._created: list[str] = []
        self._proxies: list[FaultProxy] = []
        self._log_from = self._log.stat().st_size

    # -- making it -----------------------------------------------------------------------------------------------------

    def create(self, *, start: str = "now", options: model_pb2.ChangefeedOptions | None = None) -> None:
        """Tables on both sides, and a changefeed that runs."""
        self.create_tables(self.source)
        self.create_tables(self.sink)
        self.create_changefeed(start=start, options=options)
        self.wait("normal")

    def create_tables(self, server: Server) -> None:
        """Without a trace in the binlog."""
        statements = [f"CREATE TABLE IF NOT EXISTS {self.schema}.{name} {columns}" for name, columns in TABLES.items()]
        run(server, "SET sql_log_bin = 0", f"CREATE DATABASE IF NOT EXISTS {self.schema}", *statements)

    def place(self) -> str:
        """Where the source's binlog ends, for a start there."""
        shown = "SHOW BINARY LOG STATUS" if self.source.flavour == "mysql" else "SHOW MASTER STATUS"
        file, offset, *_ = run(self.source, shown)[0]
        return f"file:{file}:{offset}"

    def create_changefeed(
        self,
        *,
        name: str = "",
        source: str = "",
        sink: str = "",
        start: str = "now",
        options: model_pb2.ChangefeedOptions | None = None,
    ) -> None:
        request = pb.CreateChangefeedRequest(
            name=name or self.name,
            source=source or self.source_uri,
            sink=sink or self.sink_uri,
            filter=[f"{self.schema}.*"],
            start=start,
            options=options,
        )
        self._client.call("CreateChangefeed", request)
        self._created.append(request.name)

    def source_proxy(self) -> FaultProxy:
        """The changefeed reaches its source through it."""
        proxy = self._proxy(self.source.port)
        self.source_uri = self.source.account(SOURCE_USER).at(proxy.host, proxy.port).uri
        return proxy

    def sink_proxy(self) -> FaultProxy:
        proxy = self._proxy(self.sink.port)
        self.sink_uri = self.sink.account(SINK_USER).at(proxy.host, proxy.port).uri
        return proxy

    def point(self, proxy: FaultProxy, server: Server) -> FaultProxy:
        """From now on another server is behind the proxy's address."""
        proxy.close()
        return self._proxy(server.port, proxy.port)

    def _proxy(self, target: int, port: int | None = None) -> FaultProxy:
        self._proxies.append(FaultProxy(target, port=port))
        return self._proxies[-1]

    def account(self, server: Server, user: str, *grants: str) -> Access:
        """A new account of a server, with a password file of its own."""
        access = replace(server.root, user=user, password_file=self.cluster.directory / f"{user}.password")
        access.password_file.write_text(secrets.token_hex(8))
        name = f"'{user}'@'127.0.0.1'"
        run(
            server,
            "SET sql_log_bin = 0",
            f"DROP USER IF EXISTS {name}",
            f"CREATE USER {name} IDENTIFIED BY '{access.password}'",
            *(f"GRANT {grant} TO {name}" for grant in grants),
        )
        return access

    def remove(self) -> None:
        while self._created:
            self._client.call("Remove", pb.ChangefeedRequest(name=self._created.pop()))

    def close(self) -> None:
        self.remove()
        for proxy in self._proxies:
            proxy.close()

    # -- using it ------------------------------------------------------------------------------------------------------

    def write(self, transactions: int = 10, server: Server | None = None) -> None:
        """Rows come, change and go in both tables, doubled ones among them."""
        with (server or self.source).connect(database=self.schema, autocommit=False) as connection:
            for n in range(self._written + 1, self._written + transactions + 1):
                transact(connection, self._transaction(n))
        self._written += transactions

    @staticmethod
    def _transaction(n: int) -> tuple[str, ...]:
        return (
            f"INSERT INTO keyed VALUES ({n}, {n % 7}, 'row {n}')",
            f"INSERT INTO keyless VALUES ({n % 5}, 'w'), ({n % 5}, 'w')",
            f"UPDATE keyed SET v = v + 1 WHERE id = {max(1, n - 3)}",
            f"UPDATE keyless SET v = v + 1 WHERE v = {n % 3} LIMIT 1",
            f"DELETE FROM keyless WHERE v = {n % 6} LIMIT 1",
        )

    def run(self, server: Server, *statements: str) -> list[tuple[Any, ...]]:
        """In the schema; the rows of the last statement."""
        return run(server, f"USE {self.schema}", *statements)

    def resume(self) -> None:
        self._client.call("Resume", pb.ChangefeedRequest(name=self.name))

    def pause(self) -> None:
        self._client.call("Pause", pb.ChangefeedRequest(name=self.name))

    def update(self, options: model_pb2.ChangefeedOptions) -> None:
        self._client.call("Update", pb.UpdateChangefeedRequest(name=self.name, options=options))

    def get(self, name: str = "") -> dict[str, Any]:
        return changefeed_dict(self._client.call("Get", pb.ChangefeedRequest(name=name or self.name)))

    def wait(self, state: str, code: str = "", *says: str, seconds: float = SECONDS) -> str:
        """Until `changefeed get` shows the state, and an error of this code whose message has everything in `says`,
        where one is asked; the message."""
        found: dict[str, Any] = {}

        def reached() -> bool:
            found.update(self.get())
            error = found["error"] or {"code": "", "message": ""}
            as_asked = not code or (error["code"] == code and all(part in error["message"] for part in says))
            return found["state"] == state and as_asked

        assert poll(reached, seconds), f"not {state} {code} {says} within {seconds:g} s, but {show(found)}"
        return str(found["error"]["message"]) if found["error"] else ""

    def wait_failed(self, code: str, *says: str) -> str:
        message = self.wait("failed", code, *says)
        assert self.get()["error"]["retriable"] is False
        return message

    def wait_warning(self, code: str, *says: str) -> str:
        """While it retries."""
        return self.wait("warning", code, *says)

    def assert_equal(self, seconds: float = SECONDS, source: Server | None = None) -> None:
        """Both tables become equal, and the changefeed is normal, without an error."""
        comparison = wait_until_equal((source or self.source).root, self.sink.root, self.schema, seconds=seconds)
        assert comparison.equal, f"{comparison}\n{show(self.get())}"
        assert len(comparison.tables) >= len(TABLES)
        self.wait("normal")
        assert poll(lambda: self.get()["error"] is None, SECONDS), show(self.get())

    def kill_sessions(self, user: str = SINK_USER) -> int:
        """Ends every session that the account has in the sink; how many there were."""
        found = run(self.sink, f"SELECT id FROM information_schema.processlist WHERE user = '{user}'")
        for (session,) in found:
            with contextlib.suppress(pymysql.err.OperationalError):  # it has gone meanwhile
                run(self.sink, f"KILL {session}")
        return len(found)

    @property
    def _log(self) -> Path:
        return self.cluster.nodes[0].process.log

    def logged(self) -> str:
        """What the node has logged since the test began."""
        with self._log.open() as file:
            file.seek(self._log_from)
            return file.read()


def run(server: Server, *statements: str) -> list[tuple[Any, ...]]:
    """Executes as root, in one session; the rows of the last statement."""
    with server.connect() as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return list(cursor.fetchall())


def transact(connection: Connection[Any], statements: tuple[str, ...]) -> None:
    """One transaction; again, whole, where it was the victim of a deadlock with what replication writes here."""
    while True:
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
            connection.commit()
            return
        except pymysql.err.OperationalError as error:
            if error.args[0] != 1213:
                raise
            connection.rollback()


def poll(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return True
        except HedgerowError:
            pass
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.1)


def show(feed: dict[str, Any]) -> str:
    kept: Iterable[str] = ("state", "error", "attempts", "lag_seconds")
    states = {each["dispatcher"]: (each["state"], each["error"]) for each in feed.get("dispatchers", ())}
    return str({key: feed.get(key) for key in kept} | {"dispatchers": states})
