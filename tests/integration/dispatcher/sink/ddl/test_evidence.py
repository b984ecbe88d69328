"""A DDL statement that was begun counts as executed on positive evidence only, whatever happened to its tables since.

Each case dies before or after its statement; then somebody does something else to the table; then it is called again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from hedgerow.common.errors import DdlFailed, DdlUncertain
from hedgerow.sandbox.accounts import SINK_USER
from tests.integration.dispatcher.sink.ddl.test_execute import Ddl, Died, dying
from tests.integration.dispatcher.sink.harness import run

ACCOUNT = f"'{SINK_USER}'@'127.0.0.1'"
GRANTS = {"mariadb": "REPLICATION SLAVE, BINLOG MONITOR", "mysql": "REPLICATION SLAVE, REPLICATION CLIENT"}


@dataclass(frozen=True)
class Case:
    """`there`: what the table is like where the statement was executed once."""

    statement: str
    there: str

    def __str__(self) -> str:
        return self.statement.split()[0] + " " + self.statement.split()[-1]


CASES = [
    Case("ALTER TABLE a ADD COLUMN c INT", "`c` int"),
    Case("ALTER TABLE a MODIFY v VARCHAR(20) DEFAULT 'x'", "DEFAULT 'x'"),
    Case("ALTER TABLE a DROP COLUMN v", ""),
    Case("CREATE INDEX i ON a (v)", "KEY `i`"),
    Case("ALTER TABLE a PARTITION BY HASH (id) PARTITIONS 3", "PARTITION BY HASH"),
]
MEANWHILE = {
    "rebuilt": ["OPTIMIZE TABLE dd.a"],
    "restored": [
        "CREATE TABLE dd.copy AS SELECT * FROM dd.a",
        "DROP TABLE dd.a",
        "CREATE TABLE dd.a (id INT PRIMARY KEY, v VARCHAR(9))",
        "INSERT INTO dd.a (id) SELECT id FROM dd.copy",
        "DROP TABLE dd.copy",
    ],
    "altered": ["ALTER TABLE dd.a ADD COLUMN byhand INT"],
}


@pytest.fixture
def sink(server_pair: Any) -> Ddl:
    sink = Ddl(server_pair)
    run(
        sink.pair.sink.connect(),
        "CREATE TABLE dd.a (id INT PRIMARY KEY, v VARCHAR(9))",
        "INSERT INTO dd.a VALUES (1, 'r')",
    )
    sink.offset = 10
    return sink


@pytest.fixture
def no_binlog(sink: Ddl) -> Iterator[None]:
    """Its account may not read the sink's binlog."""
    grants = GRANTS[sink.pair.flavour]
    run(sink.pair.sink.connect(), f"REVOKE {grants} ON *.* FROM {ACCOUNT}")
    yield
    run(sink.pair.sink.connect(), f"GRANT {grants} ON *.* TO {ACCOUNT}")


def shown(sink: Ddl) -> str:
    return str(sink.query("SHOW CREATE TABLE dd.a")[0][1])


def die(sink: Ddl, monkeypatch: pytest.MonkeyPatch, when: str, statement: str, touches: str) -> None:
    live = dying(monkeypatch, "_execute" if when == "before" else "_finish", after=False)
    with pytest.raises(Died):
        sink.execute(statement, touches=touches)
    live()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("meanwhile", MEANWHILE)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_table_that_changed_meanwhile_is_no_evidence(
    sink: Ddl, monkeypatch: pytest.MonkeyPatch, case: Case, meanwhile: str, when: str
) -> None:
    die(sink, monkeypatch, when, case.statement, touches="a")
    run(sink.pair.sink.connect(), *MEANWHILE[meanwhile])
    sink.execute(case.statement, touches="a")
    assert sink.progress() == {"*": 10}
    assert case.there in shown(sink)
    assert "DROP" not in case.statement or "`v`" not in shown(sink)
    assert sink.query("SELECT id FROM dd.a") == ((1,),)


@pytest.mark.parametrize("executed", [True, False], ids=["executed", "not executed"])
def test_what_cannot_be_known_stops_and_goes_on_as_the_message_says(
    sink: Ddl, monkeypatch: pytest.MonkeyPatch, no_binlog: None, executed: bool
) -> None:
    statement = "ALTER TABLE a ADD COLUMN c INT"
    die(sink, monkeypatch, "after" if executed else "before", statement, touches="a")
    run(sink.pair.sink.connect(), *MEANWHILE["altered"])
    for _ in range(2):
        with pytest.raises(DdlUncertain, match=r"ADD COLUMN c.*dd\.a changed.*(denied|privilege)") as failed:
            sink.execute(statement, touches="a")
    assert sink.progress() == {"*": 4}
    sink.follow(failed.value, "done" if executed else "refused")
    sink.execute(statement, touches="a")
    assert "`c` int" in shown(sink)
    assert "`byhand` int" in shown(sink)
    assert sink.progress() == {"*": 10}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("binlog", [True, False], ids=["binlog", "no binlog"])
@pytest.mark.parametrize("alike", [True, False], ids=["alike", "unlike"])
def test_tables_are_swapped_once(
    sink: Ddl, monkeypatch: pytest.MonkeyPatch, when: str, binlog: bool, alike: bool, request: pytest.FixtureRequest
) -> None:
    if not binlog:
        request.getfixturevalue("no_binlog")
    run(
        sink.pair.sink.connect(),
        "CREATE TABLE dd.b LIKE dd.a" if alike else "CREATE TABLE dd.b (id INT PRIMARY KEY, other INT)",
    )
    statement = "RENAME TABLE a TO t, b TO a, t TO b"
    die(sink, monkeypatch, when, statement, touches="a b t")
    sink.execute(statement, touches="a b t")
    assert sink.query("SELECT COUNT(*) FROM dd.a") == ((0,),)
    assert sink.query("SELECT id FROM dd.b") == ((1,),)
    assert sink.progress() == {"*": 10}


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_swap_of_rebuilt_tables_that_look_alike(
    sink: Ddl, monkeypatch: pytest.MonkeyPatch, no_binlog: None, when: str
) -> None:
    run(sink.pair.sink.connect(), "CREATE TABLE dd.b LIKE dd.a")
    statement = "RENAME TABLE a TO t, b TO a, t TO b"
    die(sink, monkeypatch, when, statement, touches="a b t")
    run(sink.pair.sink.connect(), "ALTER TABLE dd.b FORCE", "ALTER TABLE dd.a FORCE")
    with pytest.raises(DdlUncertain, match="nothing that it names looks different") as failed:
        sink.execute(statement, touches="a b t")
    sink.follow(failed.value, "refused" if when == "before" else "done")
    sink.execute(statement, touches="a b t")
    assert sink.query("SELECT id FROM dd.b") == ((1,),)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("binlog", [True, False], ids=["binlog", "no binlog"])
def test_partitions_are_exchanged_once(
    sink: Ddl, monkeypatch: pytest.MonkeyPatch, when: str, binlog: bool, request: pytest.FixtureRequest
) -> None:
    if not binlog:
        request.getfixturevalue("no_binlog")
    run(
        sink.pair.sink.connect(),
        "CREATE TABLE dd.p (id INT PRIMARY KEY, v VARCHAR(9)) PARTITION BY HASH (id) PARTITIONS 1",
    )
    statement = "ALTER TABLE p EXCHANGE PARTITION p0 WITH TABLE a"
    die(sink, monkeypatch, when, statement, touches="p a")
    sink.execute(statement, touches="p a")
    assert sink.query("SELECT id FROM dd.p") == ((1,),)
    assert sink.query("SELECT id FROM dd.a") == ()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("binlog", [True, False], ids=["binlog", "no binlog"])
def test_columns_that_swap_names_and_places(
    sink: Ddl, monkeypatch: pytest.MonkeyPatch, when: str, binlog: bool, request: pytest.FixtureRequest
) -> None:
    """SHOW CREATE TABLE is the same before and after."""
    if not binlog:
        request.getfixturevalue("no_binlog")
    run(sink.pair.sink.connect(), "CREATE TABLE dd.w (x INT, y INT)", "INSERT INTO dd.w VALUES (1, 2)")
    statement = "ALTER TABLE w CHANGE x y INT, CHANGE y x INT FIRST"
    die(sink, monkeypatch, when, statement, touches="w")
    if not binlog:
        with pytest.raises(DdlUncertain) as failed:
            sink.execute(statement, touches="w")
        sink.follow(failed.value, "refused" if when == "before" else "done")
    sink.execute(statement, touches="w")
    assert sink.query("SELECT x, y FROM dd.w") == ((2, 1),)


def test_one_of_another_changefeed_is_no_evidence(sink: Ddl, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same statement is executed by another one in the sink meanwhile, on another table of the same name."""
    statement = "ALTER TABLE a ADD COLUMN c INT"
    die(sink, monkeypatch, "before", statement, touches="a")
    run(
        sink.pair.sink.connect(),
        "CREATE DATABASE ee",
        "CREATE TABLE ee.a (id INT)",
        "USE ee",
        f"SET SESSION pseudo_thread_id = {0xFEED0001}",
        statement,
    )
    sink.execute(statement, touches="a")
    assert "`c` int" in shown(sink)


def test_what_a_server_logs_when_it_recovers_is_known_by_its_text(sink: Ddl, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has another thread id then. MariaDB 10.6 and later log what they find executed and not logged."""
    statement = "ALTER TABLE a ADD COLUMN c INT"
    die(sink, monkeypatch, "before", statement, touches="a")
    run(sink.pair.sink.connect(), "USE dd", statement)
    sink.execute(statement, touches="a")
    assert "`c` int" in shown(sink)
    assert sink.progress() == {"*": 10}


def test_a_default_that_is_no_text(sink: Ddl, monkeypatch: pytest.MonkeyPatch) -> None:
    run(sink.pair.sink.connect(), "ALTER TABLE dd.a ADD b BINARY(4) DEFAULT 0xFF00FE01")
    for number, when in enumerate(["before", "after"]):
        sink.offset += 10
        statement = f"ALTER TABLE a ADD COLUMN c{number} INT"
        die(sink, monkeypatch, when, statement, touches="a")
        sink.execute(statement, touches="a")
    columns = sink.query("SELECT column_name FROM information_schema.columns WHERE table_schema = 'dd' ORDER BY 1")
    assert [name for (name,) in columns] == ["b", "c0", "c1", "id", "v"]


def test_a_row_that_an_earlier_version_wrote(sink: Ddl) -> None:
    """Its fingerprint has ids and no place in the binlog; the tables are as they were."""
    former = '{"tables": {"dd.a": %s}, "identified": true, "programs": ""}'
    shape = shown(sink).replace("\n", "\\n")
    run(
        sink.pair.sink.connect(),
        "INSERT INTO hedgerow.ddl (changefeed_uid, ddl_key, state, statement, fingerprint_before, epoch, session_id,"
        f" session_host) VALUES ('{sink.uid}', 'b.000001:10', 'started', 'x', '"
        + (former % f"\"{shape} [':7']\"").replace("\\", "\\\\").replace("'", "''")
        + "', 5, 0, '')",
    )
    sink.execute("ALTER TABLE a ADD COLUMN c INT", touches="a")
    assert "`c` int" in shown(sink)


def test_a_refusal_after_recovery_is_a_refusal(sink: Ddl, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody has done by hand what the statement does: it is executed, and refused, and the way on is told."""
    statement = "ALTER TABLE a ADD COLUMN c INT"
    die(sink, monkeypatch, "before", statement, touches="a")
    run(sink.pair.sink.connect(), "ALTER TABLE dd.a ADD COLUMN c INT")
    with pytest.raises(DdlFailed, match="1060") as failed:
        sink.execute(statement, touches="a")
    sink.follow(failed.value, "done")
    sink.execute(statement, touches="a")
    assert sink.progress() == {"*": 10}


ALL: list[tuple[str, dict[str, Any]]] = [
    ("CREATE TABLE n (id INT)", {"touches": "n", "creates": "n"}),
    ("CREATE OR REPLACE VIEW w AS SELECT id FROM a", {"touches": "w"}),
    ("CREATE VIEW x AS SELECT id FROM a", {"touches": "x"}),
    ("DROP VIEW w", {"touches": "w"}),
    ("CREATE TRIGGER g BEFORE INSERT ON a FOR EACH ROW SET NEW.v = 'x'", {"touches": "a"}),
    ("CREATE TRIGGER h BEFORE INSERT ON a FOR EACH ROW SET NEW.id = 1", {"touches": "a"}),
    ("DROP TRIGGER g", {}),
    ("CREATE PROCEDURE p() BEGIN SELECT 1; SELECT 2; END", {}),
    ("ALTER PROCEDURE p COMMENT 'c'", {}),
    ("DROP PROCEDURE p", {}),
    ("CREATE INDEX i ON a (v)", {"touches": "a"}),
    ("DROP INDEX i ON a", {"touches": "a"}),
    ("TRUNCATE TABLE n", {"touches": "n"}),
    ("ALTER TABLE a ENGINE=InnoDB", {"touches": "a"}),
    ("RENAME TABLE n TO m", {"touches": "n", "creates": "m", "drops": "n"}),
    ("ALTER TABLE m RENAME TO o", {"touches": "m", "creates": "o", "drops": "m"}),
    ("DROP TABLE o, a", {"touches": "o a", "drops": "o a"}),
    ("ALTER DATABASE dd CHARACTER SET latin1", {"touches": "*"}),
    ("DROP DATABASE dd", {"touches": "*", "drops": "*"}),
]
# Nothing proves these without the binlog.
ASKED = {"CREATE TABLE", "CREATE VIEW", "CREATE INDEX", "DROP INDEX", "ALTER DATABASE"}


@pytest.mark.parametrize("when", ["before", "after"])
def test_without_the_binlog_it_is_told_by_effects_or_asked(
    sink: Ddl, monkeypatch: pytest.MonkeyPatch, no_binlog: None, when: str
) -> None:
    run(
        sink.pair.sink.connect(),
        "CREATE DATABASE ee",
        "CREATE PROCEDURE ee.p() SELECT 'theirs'",
    )
    for statement, names in ALL:
        sink.offset += 10
        live = dying(monkeypatch, "_execute" if when == "before" else "_finish", after=False)
        with pytest.raises(Died):
            sink.execute(statement, **names)
        live()
        if when == "after" and " ".join(statement.split()[:2]) in ASKED:
            with pytest.raises(DdlUncertain) as failed:
                sink.execute(statement, **names)
            sink.follow(failed.value, "done")
        sink.execute(statement, **names)
        assert sink.progress()["*"] == sink.offset, statement
    assert sink.query("SELECT schema_name FROM information_schema.schemata WHERE schema_name = 'dd'") == ()
    programs = "SELECT routine_schema, routine_name FROM information_schema.routines WHERE routine_schema = 'ee'"
    assert sink.query(programs) == (("ee", "p"),)
