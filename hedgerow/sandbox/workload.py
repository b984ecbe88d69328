"""A mixed live workload on a source: one thread, one connection, seeded.

It writes to tables of every kind that replication treats differently: integer, composite and text primary keys, no key
at all, and a pair tied by a foreign key with ON DELETE CASCADE. It inserts, updates and deletes, in transactions of one
table and of several. It survives restarts of the source: then it reconnects and goes on. Whether a COMMIT whose answer
was lost has happened does not matter, because the source itself is the truth that a sink is compared with; only
`transactions` and `rows` miss what was lost.

The tables do not grow without bound: rows older than the newest few thousand are trimmed.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from types import TracebackType
from typing import Any, Self

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from hedgerow.sandbox.accounts import Access
from hedgerow.sandbox.process import SandboxError

SCHEMA = "shop"
TABLES = ("customers", "stock", "sessions", "audit", "orders", "order_lines")

_CREATE = (
    "CREATE DATABASE IF NOT EXISTS `{schema}` CHARACTER SET utf8mb4",
    """CREATE TABLE IF NOT EXISTS `{schema}`.customers (
        id INT PRIMARY KEY, name VARCHAR(100) NOT NULL, balance DECIMAL(20, 4) NOT NULL, note TEXT,
        changed TIMESTAMP(6) NULL, KEY (name)) ENGINE = InnoDB""",
    """CREATE TABLE IF NOT EXISTS `{schema}`.stock (
        warehouse SMALLINT UNSIGNED, item INT, quantity INT NOT NULL, weight DOUBLE, picture VARBINARY(200),
        PRIMARY KEY (warehouse, item)) ENGINE = InnoDB""",
    """CREATE TABLE IF NOT EXISTS `{schema}`.sessions (
        token VARCHAR(64) CHARACTER SET latin1 PRIMARY KEY, customer INT, state ENUM('new', 'active', 'gone') NOT NULL,
        data JSON, seen DATETIME(3)) ENGINE = InnoDB""",
    """CREATE TABLE IF NOT EXISTS `{schema}`.audit (
        at DATETIME NOT NULL, kind VARCHAR(20) NOT NULL, customer INT, amount DECIMAL(12, 2)) ENGINE = InnoDB""",
    """CREATE TABLE IF NOT EXISTS `{schema}`.orders (
        id BIGINT PRIMARY KEY, customer INT NOT NULL, total DECIMAL(12, 2) NOT NULL, placed DATETIME(6) NOT NULL)
        ENGINE = InnoDB""",
    """CREATE TABLE IF NOT EXISTS `{schema}`.order_lines (
        order_id BIGINT, line INT, item INT NOT NULL, quantity INT NOT NULL, PRIMARY KEY (order_id, line),
        CONSTRAINT order_lines_order FOREIGN KEY (order_id) REFERENCES `{schema}`.orders (id) ON DELETE CASCADE)
        ENGINE = InnoDB""",
)

_NAMES = ("Ann", "Björk", "Chloë", "Đorđe", "Ελένη", "Fatima", "桂英", "O'Brien", 'Jo "Quote" \\ Back', "🌿")
_KEPT = 5_000  # the newest keys; older rows are trimmed
_AUDIT_KEPT = 400  # every change of a row without a key is a table scan in the sink
_WAREHOUSES = 20
_ITEMS = 500
_NETWORK_SECONDS = 5
_RECONNECT_SECONDS = 0.1
# Deadlock and lock wait timeout: the server rolled back, or the statement only. Undo and go on.
_RETRY = frozenset({1213, 1205})
# What a client sees of a server that is ending or gone: 1053, 1927 (MariaDB), 3169 (MySQL) from the server, 2xxx from
# the client itself.
_GONE = frozenset({1053, 1927, 3169, 2003, 2006, 2013})


class Workload:
    """Writes from start() until stop(). `rate` is in transactions per second; None is as fast as it goes."""

    def __init__(self, source: Access, *, rate: float | None = None, seed: int = 0, schema: str = SCHEMA) -> None:
        self.source = source
        self.schema = schema
        self.transactions = 0  # whose COMMIT was answered, and that changed something
        self.rows = 0  # changed by those; without what a foreign key cascaded
        self.reconnects = 0
        self.error: Exception | None = None
        self._rate = rate
        self._random = random.Random(seed)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._next = {"customers": 1, "orders": 1}
        self._audit_rows = 0

    @property
    def tables(self) -> tuple[str, ...]:
        return tuple(f"{self.schema}.{table}" for table in TABLES)

    def create_tables(self) -> None:
        """Creates what is missing."""
        with self.source.connect() as connection, connection.cursor() as cursor:
            for statement in _CREATE:
                cursor.execute(statement.format(schema=self.schema))

    def start(self) -> None:
        if self._thread is not None:
            raise SandboxError("the workload runs already")
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="workload", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends after the transaction at hand. Raises what ended the workload before, if anything did."""
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
        if self.error is not None:
            raise SandboxError(f"the workload on {self.source.uri} failed: {self.error}") from self.error

    def write(self, transactions: int) -> None:
        """That many transactions, now, in the caller's thread."""
        connection = self._connect()
        try:
            target = self.transactions + transactions
            while self.transactions < target:
                self._transaction(connection)
        finally:
            connection.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    # -- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    connection = self._connect()
                except pymysql.MySQLError as error:
                    self._raise_unless_gone(error)
                    self._stop.wait(_RECONNECT_SECONDS)
                    continue
                try:
                    self._write_until_stopped(connection)
                except pymysql.MySQLError as error:
                    self._raise_unless_gone(error)
                    self.reconnects += 1
                finally:
                    _close(connection)
        except Exception as error:
            self.error = error

    def _write_until_stopped(self, connection: Connection[Cursor]) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            if self._rate is not None:
                # After a pause the rate is kept from now on, what was missed is not caught up with.
                due = max(due + 1 / self._rate, time.monotonic() - 1)
                if self._stop.wait(max(0.0, due - time.monotonic())):
                    return
            self._transaction(connection)

    def _connect(self) -> Connection[Cursor]:
        connection: Connection[Any] = self.source.connect(
            database=self.schema, autocommit=False, read_timeout=_NETWORK_SECONDS, write_timeout=_NETWORK_SECONDS
        )
        try:
            with connection.cursor() as cursor:
                for table in self._next:
                    cursor.execute(f"SELECT COALESCE(MAX(id), 0) FROM {table}")
                    row = cursor.fetchone()
                    assert row is not None
                    self._next[table] = max(self._next[table], row[0] + 1)
                cursor.execute("SELECT COUNT(*) FROM audit")
                row = cursor.fetchone()
                assert row is not None
                self._audit_rows = row[0]
            connection.rollback()
        except BaseException:
            _close(connection)
            raise
        return connection

    @staticmethod
    def _raise_unless_gone(error: pymysql.MySQLError) -> None:
        code = error.args[0] if error.args else None
        if not (isinstance(error, pymysql.err.InterfaceError) or code in _GONE):
            raise error

    def _transaction(self, connection: Connection[Cursor]) -> None:
        with connection.cursor() as cursor:
            try:
                rows = self._random.choices(
                    (self._customer, self._stock, self._session, self._audit, self._order, self._mixed, self._trim),
                    weights=(20, 20, 15, 15, 20, 10, 1),
                )[0](cursor)
                connection.commit()
            except pymysql.err.OperationalError as error:
                if error.args[0] not in _RETRY:
                    raise
                connection.rollback()
                return
        if rows:
            self.rows += rows
            self.transactions += 1

    # -- one transaction each; they return the rows they changed -------------------------------------------------------

    def _customer(self, cursor: Cursor) -> int:
        if self._random.random() < 0.5:
            values = (self._new("customers"), self._name(), self._amount(), self._text())
            return cursor.execute("INSERT INTO customers VALUES (%s, %s, %s, %s, NOW(6))", values)
        if self._random.random() < 0.8:
            return cursor.execute(
                "UPDATE customers SET balance = balance + %s, note = %s, changed = NULL WHERE id BETWEEN %s AND %s",
                (self._amount(), self._text(), *self._some("customers", 3)),
            )
        return cursor.execute("DELETE FROM customers WHERE id BETWEEN %s AND %s", self._some("customers", 1))

    def _stock(self, cursor: Cursor) -> int:
        key = (self._random.randrange(_WAREHOUSES), self._random.randrange(_ITEMS))
        if self._random.random() < 0.2:
            return cursor.execute("DELETE FROM stock WHERE warehouse = %s AND item = %s", key)
        values = (*key, self._random.randrange(1000), self._random.uniform(-1e9, 1e9), self._random.randbytes(40))
        # An update counts as two affected rows (MySQL manual 15.2.7.2).
        return min(
            1,
            cursor.execute(
                "INSERT INTO stock VALUES (%s, %s, %s, %s, %s) ON DUPLICATE KEY UPDATE quantity = quantity + 1", values
            ),
        )

    def _session(self, cursor: Cursor) -> int:
        chance = self._random.random()
        token = f"s\u00e9ssion-{self._random.randrange(2000):05}"
        if chance < 0.5:
            document = f'{{"page": {self._random.randrange(100)}, "name": "caf\u00e9"}}'
            return min(
                1,
                cursor.execute(
                    "INSERT INTO sessions VALUES (%s, %s, 'new', %s, NOW(3))"
                    " ON DUPLICATE KEY UPDATE state = 'active', seen = NOW(3)",
                    (token, self._random.randrange(1000), document),
                ),
            )
        if chance < 0.8:
            return cursor.execute(
                "UPDATE sessions SET data = JSON_SET(data, '$.page', %s), state = 'active' WHERE token = %s",
                (self._random.randrange(100), token),
            )
        return cursor.execute("DELETE FROM sessions WHERE token = %s", (token,))

    def _audit(self, cursor: Cursor) -> int:
        # Few kinds and amounts, whole seconds: so there are equal rows, which only a multiset comparison counts right.
        kind, customer = self._random.choice(("login", "logout", "payment")), self._random.randrange(10)
        chance = self._random.random()
        if self._audit_rows < _AUDIT_KEPT and chance < 0.7:
            rows = [(kind, customer, self._random.randrange(5))] * self._random.randint(1, 3)
            inserted = cursor.executemany("INSERT INTO audit VALUES (NOW(), %s, %s, %s)", rows) or 0
            self._audit_rows += inserted
            return inserted
        if chance < 0.85:
            return cursor.execute(
                "UPDATE audit SET amount = amount + 1 WHERE kind = %s AND customer = %s LIMIT 2", (kind, customer)
            )
        deleted = cursor.execute("DELETE FROM audit WHERE kind = %s AND customer = %s LIMIT 2", (kind, customer))
        self._audit_rows -= deleted
        return deleted

    def _order(self, cursor: Cursor) -> int:
        chance = self._random.random()
        if chance < 0.6:
            order = self._new("orders")
            rows = cursor.execute(
                "INSERT INTO orders VALUES (%s, %s, %s, NOW(6))", (order, self._random.randrange(1000), self._amount())
            )
            lines = [
                (order, line, self._random.randrange(_ITEMS), self._random.randint(1, 9))
                for line in range(self._random.randint(1, 5))
            ]
            return rows + (cursor.executemany("INSERT INTO order_lines VALUES (%s, %s, %s, %s)", lines) or 0)
        if chance < 0.8:
            return cursor.execute(
                "UPDATE order_lines SET quantity = quantity + 1 WHERE order_id BETWEEN %s AND %s",
                self._some("orders", 2),
            )
        return cursor.execute("DELETE FROM orders WHERE id BETWEEN %s AND %s", self._some("orders", 1))

    def _mixed(self, cursor: Cursor) -> int:
        return sum(part(cursor) for part in (self._customer, self._order, self._stock, self._audit, self._session))

    def _trim(self, cursor: Cursor) -> int:
        rows = cursor.execute("DELETE FROM customers WHERE id < %s LIMIT 500", (self._next["customers"] - _KEPT,))
        return rows + cursor.execute("DELETE FROM orders WHERE id < %s LIMIT 500", (self._next["orders"] - _KEPT,))

    # -- values -------------------------------------------------------------------------------------------------------

    def _new(self, table: str) -> int:
        key = self._next[table]
        self._next[table] += 1
        return key

    def _some(self, table: str, width: int) -> tuple[int, int]:
        """A range of keys, most of which exist."""
        newest = self._next[table]
        first = self._random.randrange(max(1, newest - 1000), newest + 1)
        return first, first + width - 1

    def _name(self) -> str:
        return f"{self._random.choice(_NAMES)} {self._random.randrange(10_000)}"

    def _amount(self) -> str:
        return f"{self._random.uniform(-10_000, 10_000):.2f}"

    def _text(self) -> str | None:
        return None if self._random.random() < 0.2 else self._random.choice(_NAMES) * self._random.randrange(20)


def _close(connection: Connection[Any]) -> None:
    """Also one whose server is gone, or whose close() has failed before."""
    with contextlib.suppress(pymysql.MySQLError):
        connection.close()
