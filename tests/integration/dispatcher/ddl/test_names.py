"""The tables that statements make and drop, as they are classified, are those that the server then has.

One session executes statements in odd spellings; after each one, what the classifier made of the binlog so far is
compared with information_schema.
"""

from __future__ import annotations

from typing import Any

import pymysql
import pytest

from hedgerow.common.binlog.position import Position
from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.mysql.names import TableName
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.source import transactions as t
from hedgerow.dispatcher.spec import Spec
from hedgerow.dispatcher.stream.statements import Classifier
from hedgerow.sandbox.servers import Server, ServerPair
from tests.integration.dispatcher.ddl import spellings
from tests.integration.dispatcher.source.reading import Follower, resolved, uri_of

_SYSTEM = "('mysql', 'sys', 'information_schema', 'performance_schema')"


class Ledger(Follower):
    """Follows the binlog, and keeps the tables that there have to be."""

    def __init__(self, server: Server) -> None:
        start = resolved(server, "now")
        super().__init__(uri_of(server), server.flavour, start)
        uri = server.account("hedgerow_source").uri
        self._classify = Classifier(
            Spec.read(pb.ChangefeedSpec(uid="u", name="n", source=uri, sink=uri, flavour=server.flavour))
        )
        self.tables: set[str] = set()
        self.refused: list[str] = []
        self.seen = 0

    def take(self, event: bytes) -> None:
        what = self.tracker.feed(event)
        if what != t.DDL:
            return
        statement = self.tracker.statement
        assert statement is not None
        self.seen += 1
        ddl = self._classify(statement)
        if ddl is not None and ddl.refusal:
            self.refused.append(ddl.refusal)
        elif ddl is not None:
            gone = {TableName.read(name).key for name in ddl.drops}
            self.tables = {key for key in self.tables if key not in gone and f"{key.partition('.')[0]}." not in gone}
            self.tables |= {TableName.read(name).key for name in ddl.creates}
        self.tracker.finish_statement()

    def catch_up(self, place: Position) -> None:
        self.until(lambda: (self.tracker.file, self.tracker.offset) >= (place.file, place.offset))


def tables(cursor: Any) -> set[str]:
    cursor.execute(
        "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type IN ('BASE TABLE', 'SEQUENCE',"
        f" 'SYSTEM VERSIONED') AND table_schema NOT IN {_SYSTEM}"
    )
    found = cursor.fetchall()
    return {f"{text(schema)}.{text(name)}" for schema, name in found}


def views(cursor: Any) -> set[str]:
    cursor.execute(f"SELECT table_schema, table_name FROM information_schema.views WHERE table_schema NOT IN {_SYSTEM}")
    return {f"{text(schema)}.{text(name)}" for schema, name in cursor.fetchall()}


def text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def of(flavour: Flavour) -> tuple[str | bytes, ...]:
    if flavour == "mariadb":
        return (*spellings.NAMES, *spellings.MARIADB_NAMES, *spellings.CLAUSES, *spellings.MARIADB_CLAUSES)
    return (*spellings.NAMES, *spellings.CLAUSES, *spellings.MYSQL_CLAUSES)


def test_tables_are_what_the_server_makes_of_the_names(server_pair: ServerPair) -> None:
    server = server_pair.source
    wrong: list[str] = []
    executed = 0
    with (
        server.connect(autocommit=True) as session,
        server.connect(autocommit=True) as other,
        session.cursor() as cursor,
        other.cursor() as looking,
    ):
        cursor.execute("CREATE DATABASE d")
        cursor.execute("USE d")
        ledger = Ledger(server)
        try:
            for statement in of(server.flavour):
                try:
                    cursor.execute(statement)
                    cursor.fetchall()
                except pymysql.MySQLError:
                    continue  # not for this flavour
                executed += 1
                ledger.catch_up(resolved(server, "now"))
                there = tables(looking)
                ledger.tables -= views(looking)  # RENAME TABLE of a view: only who executes it can tell
                if ledger.tables != there or ledger.refused:
                    found = f"{sorted(ledger.tables - there)} too many, {sorted(there - ledger.tables)} too few"
                    wrong.append(f"{statement!r}: {found} {ledger.refused}")
                    ledger.tables, ledger.refused = there, []
        finally:
            ledger.reader.close()
    assert not wrong, "\n".join(wrong)
    assert executed > 110, executed
    assert ledger.seen > 90


@pytest.mark.parametrize("mode", ["", "ANSI_QUOTES"])
def test_an_unreadable_statement_is_refused(server_pair: ServerPair, mode: str) -> None:
    """What MariaDB reads in a mode that the binlog does not tell is not guessed."""
    server = server_pair.source
    if server.flavour != "mariadb":
        pytest.skip("SET STATEMENT is MariaDB's")
    with server.connect(autocommit=True) as session, session.cursor() as cursor:
        cursor.execute("CREATE DATABASE d")
        ledger = Ledger(server)
        try:
            cursor.execute(f"SET STATEMENT sql_mode='{mode}' FOR CREATE TABLE d.t (a INT)")
            ledger.catch_up(resolved(server, "now"))
        finally:
            ledger.reader.close()
    assert "sql_mode" in ledger.refused[0]
