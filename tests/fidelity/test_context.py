"""A DDL statement makes in the sink what it made on the source, whatever its session was and the sink's globals are."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection

from hedgerow.common.errors import NotFound
from hedgerow.common.mysql.connect import Flavour, parse_version
from hedgerow.common.mysql.versioning import ends_differ
from hedgerow.sandbox.accounts import Access
from hedgerow.sandbox.cluster import Cluster
from hedgerow.sandbox.compare import compare
from hedgerow.sandbox.flavours import Program, programs, require
from hedgerow.sandbox.servers import Server, start_server_pair
from tests.fidelity.case import Case
from tests.fidelity.contexts import CASES, NO_DDL_DEPENDS_ON
from tests.fidelity.unlike import definitions, has_privilege, restrict, unlike
from tests.unit.dispatcher.source.test_statements import recorded

SHOWS_BYTES_SINCE = (8, 0, 17)  # of a default that is no text; before, MySQL shows question marks
UNSHOWN = re.compile(r"DEFAULT (?:0x[0-9A-F]+|'\?+')")
pytestmark = pytest.mark.timeout(240)

SECONDS = 45.0
FEED = "contexts"
WRITER = "writer"
OTHER: dict[Flavour, tuple[int, int]] = {"mariadb": (11, 8), "mysql": (8, 0)}


@dataclass
class Matrix:
    """One node with a changefeed of everything called ctx_*, between servers that are unlike."""

    cluster: Cluster

    @property
    def source(self) -> Server:
        return self.cluster.pair.source

    @property
    def sink(self) -> Server:
        return self.cluster.pair.sink

    def begin(self) -> None:
        self.cluster.create(FEED, "--filter", "ctx_*.*", start="now")

    def begin_anew(self) -> None:
        """After a case that stopped it."""
        with contextlib.suppress(NotFound):  # a case before has ended it, or it could not be made
            if self.cluster.get(FEED)["state"] == "normal":
                return
            self.cluster.command("changefeed", "remove", FEED, "--yes")
        for server in (self.source, self.sink):
            with server.connect() as connection, connection.cursor() as cursor:
                cursor.execute("SET sql_log_bin = 0, foreign_key_checks = 0")
                cursor.execute("SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 'ctx\\_%'")
                for (schema,) in cursor.fetchall():
                    if schema != "ctx_first":
                        cursor.execute(f"DROP DATABASE {schema}")
        self.begin()

    def check(self) -> None:
        state = self.cluster.get(FEED)
        if state["state"] != "normal":
            pytest.fail(f"{state['error']}", pytrace=False)

    def wait_equal(self, schema: str) -> None:
        """Until rows and definitions are. Fails with what differs, or with what the changefeed says."""
        deadline = time.monotonic() + SECONDS
        while True:
            found = difference(self.source, self.sink, schema)
            if not found:
                return
            self.check()
            assert time.monotonic() < deadline, found
            time.sleep(0.2)


def difference(source: Server, sink: Server, schema: str) -> str:
    left, right = definitions(source, [schema]), definitions(sink, [schema])
    if source.flavour == "mysql" and parse_version(source.program.version) < SHOWS_BYTES_SINCE:
        left, right = ({key: UNSHOWN.sub("DEFAULT bytes", text) for key, text in of.items()} for of in (left, right))
    lines = [
        f"{key}:\n  source: {left.get(key)}\n  sink:   {right.get(key)}"
        for key in sorted(left.keys() | right.keys())
        if left.get(key) != right.get(key)
    ]
    if not lines:
        lines = [str(table) for table in compare(source.root, sink.root, schema).unequal]
    return "\n".join(lines)


def programs_of(flavour: Flavour, pairing: str) -> tuple[Program, Program]:
    usual = require(flavour)
    if pairing == "usual":
        return usual, usual
    for program in programs(flavour):
        if parse_version(program.version)[:2] == OTHER[flavour] and program.key != usual.key:
            if pairing == "other":
                return program, program
            return (usual, program) if OTHER[flavour] > parse_version(usual.version)[:2] else (program, usual)
    version = ".".join(map(str, OTHER[flavour]))
    pytest.skip(f"NOT TESTED: {flavour} {version} is not here (make servers)")


@pytest.fixture(scope="module", params=["usual", "other", "upgrade"])
def matrix(flavour: Flavour, request: pytest.FixtureRequest) -> Iterator[Matrix]:
    source, sink = programs_of(flavour, request.param)
    pair = start_server_pair(
        flavour,
        unlike(flavour, parse_version(source.version))[0],
        unlike(flavour, parse_version(sink.version))[1],
        source_program=source,
        sink_program=sink,
    )
    try:
        restrict(pair.sink, "ctx\\_%")
        for server in (pair.source, pair.sink):  # the sink's account has no right on schema admin
            table = "CREATE TABLE ctx_first.t (a INT PRIMARY KEY) ENGINE = InnoDB CHARACTER SET ascii"
            run(server, "SET sql_log_bin = 0", "CREATE DATABASE admin", "CREATE DATABASE ctx_first", table)
            create_writer(server)
        with Cluster(flavour, nodes=1, pair=pair) as cluster:
            matrix = Matrix(cluster)
            matrix.begin()
            yield matrix
    finally:
        pair.close()


def create_writer(server: Server) -> None:
    """Who changes the source, and so is the definer of what needs one: on MySQL no SYSTEM_USER, which root is."""
    account = f"{WRITER}@'127.0.0.1'"
    with server.connect() as connection, connection.cursor() as cursor:
        more = [f"REVOKE SYSTEM_USER ON *.* FROM {account}"] if has_privilege(cursor, "SYSTEM_USER") else []
    make = f"CREATE USER {account} IDENTIFIED BY '{server.root.password}'"
    run(server, "SET sql_log_bin = 0", make, f"GRANT ALL ON *.* TO {account}", *more)


def writing(server: Server) -> Connection[Any]:
    return Access(server.port, WRITER, server.root.password_file).connect(use_unicode=False)


def run(server: Server, *statements: str | bytes) -> None:
    with server.connect() as connection:
        for statement in statements:
            connection.query(statement)  # bytes are sent as they are


def execute(connection: Connection[Any], case: Case, schema: str, statements: tuple[str | bytes, ...]) -> None:
    for statement in statements:
        raw = statement.encode() if isinstance(statement, str) else statement
        error = next((code for text, code in case.fails.items() if text.encode() in raw), 0)
        found = 0
        try:
            connection.query(raw.replace(b"@.", schema.encode() + b".").replace(b" @", b" " + schema.encode()))
        except pymysql.MySQLError as failure:
            found = failure.args[0]
            if found != error:
                raise AssertionError(f"{raw!r}: {failure}") from failure
        assert found == error, statement


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_sink_is_alike(matrix: Matrix, case: Case) -> None:
    flavour = matrix.cluster.flavour
    if case.flavour not in (None, flavour):
        pytest.skip(f"of {case.flavour}")
    if parse_version(matrix.source.program.version) < case.since:
        pytest.skip(f"since {case.since}")
    versions = (parse_version(server.program.version) for server in (matrix.source, matrix.sink))
    if case.versioned and ends_differ(flavour, *versions):
        pytest.skip("refused: see test_versioning")
    schema = f"ctx_{case.name}"
    matrix.begin_anew()
    with writing(matrix.source) as usual, writing(matrix.source) as session:
        if case.sure:
            execute(usual, case, schema, ("CREATE DATABASE @ CHARACTER SET utf8mb4", *case.before))
            matrix.wait_equal(schema)
        former = set_globals(matrix.sink, case)
        try:
            if case.session:
                session.query(f"SET {case.session}".encode())
            execute(session, case, schema, case.ddl)
            execute(session, case, schema, case.after)
            execute(usual, case, schema, ("CREATE TABLE @.zz_last (a INT PRIMARY KEY) CHARACTER SET ascii",))
            wait_for(matrix, schema)
        finally:
            set_globals(matrix.sink, case, former)
    matrix.wait_equal(schema)


def set_globals(sink: Server, case: Case, values: dict[str, str] | None = None) -> dict[str, str]:
    """Set what the case wants, or these values; what was there before."""
    former = {}
    with sink.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION sql_select_limit = DEFAULT")
        for wanted in case.sink:
            name = "tx_read_only" if wanted == "transaction_read_only" and sink.flavour == "mariadb" else wanted
            cursor.execute(f"SELECT @@GLOBAL.{name}")
            before = str(cursor.fetchall()[0][0])
            former[name] = before if before.replace(".", "").isdigit() else f"'{before}'"
        for name, value in (values or dict(zip(former, case.sink.values(), strict=True))).items():
            cursor.execute(f"SET GLOBAL {name} = {value}")
    return former


def wait_for(matrix: Matrix, schema: str) -> None:
    """Until the case's last table is in the sink, whose globals may be strange still."""
    deadline = time.monotonic() + SECONDS
    with matrix.sink.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION sql_big_selects = 1")
        while True:
            cursor.execute(
                "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = %s AND table_name = 'zz_last'",
                (schema,),
            )
            if cursor.fetchall()[0][0]:
                return
            matrix.check()
            assert time.monotonic() < deadline, difference(matrix.source, matrix.sink, schema)
            time.sleep(0.1)


def test_everything_that_an_event_says_has_a_case(flavour: Flavour) -> None:
    """What the recorded events of the servers hold: add a case for what a new version adds."""
    said = {name for statement in recorded(flavour) for name in statement.session}
    cases = [case for case in CASES if case.flavour in (None, flavour)]
    covered = {name for case in cases for name in case.covers} | NO_DDL_DEPENDS_ON.keys()
    assert said - covered == set()
    assert len({case.name for case in CASES}) == len(CASES)
