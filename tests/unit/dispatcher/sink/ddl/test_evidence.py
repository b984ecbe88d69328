"""Which verdict each kind of evidence leads to; the tables of docs/fencing.md, as far as no server is needed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.common.mysql.names import TableName
from hedgerow.dispatcher.sink.ddl.evidence import Evidence, StartedStatement, judge
from hedgerow.dispatcher.sink.ddl.fingerprint import Fingerprint
from hedgerow.dispatcher.sink.ddl.logged import Logged

A, B, C = (TableName("s", name) for name in "abc")
NAMES = {"a": A, "b": B, "c": C}
LOGGED = list(Logged)


def read(text: str, touches: str = "a", creates: str = "", drops: str = "") -> StartedStatement:
    affected, made, gone = ([NAMES[name] for name in names] for names in (touches, creates, drops))
    return StartedStatement.read(text, "s", "mariadb", affected, made, gone)


def shaped(ids: Any = None, server: Any = "x", **shapes: str | None) -> Fingerprint:
    """`a="x"`: a table a of shape x."""
    return Fingerprint(
        {f"s.{name}": shape and f"CREATE TABLE `{name}` ({shape})" for name, shape in shapes.items()},
        None if ids is None else {f"s.{name}": [f":{each}" for each in found] for name, found in ids.items()},
        server if ids is not None else "",
    )


@pytest.mark.parametrize("logged", LOGGED)
@pytest.mark.parametrize(
    ("statement", "before"),
    [
        (read("ALTER TABLE a ADD x INT"), shaped(a="1")),
        (read("TRUNCATE TABLE a"), shaped(a="1")),
        (read("ALTER TABLE a DROP COLUMN x, ADD COLUMN x INT"), shaped(a="1")),
        (read("ALTER TABLE a CHANGE x x INT, CHANGE y y INT"), shaped(a="1")),
        (read("ALTER TABLE a RENAME INDEX x TO y, RENAME INDEX y TO x"), shaped(a="1")),
        (read("CREATE TABLE a (id INT)", creates="a"), shaped(a=None)),
        (read("CREATE INDEX i ON a (x)"), shaped(a="1")),
        (read("RENAME TABLE a TO b", "ab", "b", "a"), shaped(a="1", b=None)),
        (read("ALTER TABLE a RENAME TO b", "ab", "b", "a"), shaped(a="1", b=None)),
        (read("RENAME TABLE a TO c, b TO a, c TO b", "abc"), shaped(a="1", b="2", c=None)),
    ],
    ids=lambda value: value.text if isinstance(value, StartedStatement) else "",
)
def test_a_table_that_is_as_before_is_safe_to_alter(
    statement: StartedStatement, before: Fingerprint, logged: Logged
) -> None:
    assert judge(statement, before, before, logged) is Evidence.REPEAT


@pytest.mark.parametrize("logged", LOGGED)
@pytest.mark.parametrize(
    "text",
    ["ALTER TABLE a ADD x INT", "CREATE UNIQUE INDEX i ON a (x)", "ALTER TABLE a RENAME COLUMN x TO y", "not ' read"],
)
def test_a_difference_is_no_evidence(text: str, logged: Logged) -> None:
    expected = {Logged.YES: Evidence.EXECUTED, Logged.NO: Evidence.REPEAT}.get(logged, Evidence.UNKNOWN)
    assert judge(read(text), shaped(a="1"), shaped(a="2"), logged) is expected


@pytest.mark.parametrize("logged", LOGGED)
@pytest.mark.parametrize(
    ("text", "kind"), [("DROP TABLE a, b", "drops"), ("DROP VIEW IF EXISTS a, b", ""), ("DROP DATABASE s", "drops")]
)
def test_what_is_dropped_is_gone(text: str, kind: str, logged: Logged) -> None:
    statement = read(text, "ab", drops="ab" if kind else "")
    before = shaped(a="1", b="1")
    assert judge(statement, before, shaped(a=None, b=None), logged) is Evidence.EXECUTED
    assert judge(statement, before, shaped(a=None, b="1"), logged) is Evidence.REPEAT
    assert judge(statement, before, before, logged) is Evidence.REPEAT


SWAP = read("RENAME TABLE a TO c, b TO a, c TO b", "abc")
EXCHANGE = read("ALTER TABLE a EXCHANGE PARTITION p WITH TABLE b", "ab")


@pytest.mark.parametrize("statement", [SWAP, EXCHANGE], ids=["rename", "exchange"])
def test_tables_that_look_alike_are_told_apart_by_ids_of_the_same_server(statement: StartedStatement) -> None:
    shapes: dict[str, str | None] = {"a": "1", "b": "1", "c": None}
    before = shaped({"a": [1], "b": [2], "c": []}, **shapes)
    after = shaped({"a": [2], "b": [1], "c": []}, **shapes)
    rebuilt = shaped({"a": [2], "b": [9], "c": []}, **shapes)
    elsewhere = shaped({"a": [2], "b": [1], "c": []}, "y", **shapes)
    unseen = shaped(**shapes)
    assert judge(statement, before, before, Logged.UNKNOWN) is Evidence.REPEAT
    assert judge(statement, before, after, Logged.UNKNOWN) is Evidence.EXECUTED
    for now in (rebuilt, elsewhere, unseen):
        assert judge(statement, before, now, Logged.UNKNOWN) is Evidence.UNKNOWN
        assert judge(statement, before, now, Logged.YES) is Evidence.EXECUTED
        assert judge(statement, before, now, Logged.NO) is Evidence.REPEAT
    assert (
        judge(statement, before, after, Logged.NO) is Evidence.UNKNOWN
    )  # the binlog has lost it, or somebody else did
    assert judge(statement, unseen, after, Logged.UNKNOWN) is Evidence.UNKNOWN


def test_columns_that_may_have_swapped_need_the_binlog() -> None:
    for text in (
        "ALTER TABLE a CHANGE x y INT, CHANGE COLUMN y x INT FIRST",
        "ALTER TABLE a RENAME COLUMN `x` TO y, MODIFY y INT, RENAME COLUMN Y TO X",
    ):
        statement = read(text)
        assert judge(statement, shaped(a="1"), shaped(a="1"), Logged.UNKNOWN) is Evidence.UNKNOWN
        assert judge(statement, shaped(a="1"), shaped(a="1"), Logged.NO) is Evidence.REPEAT
        assert judge(statement, shaped(a="1"), shaped(a="1"), Logged.YES) is Evidence.EXECUTED


def test_a_rename_that_stopped_half_way_is_not_taken_for_the_whole() -> None:
    before = shaped(a="1", b="2", c=None)
    assert judge(SWAP, before, shaped(a="2", b="1", c=None), Logged.UNKNOWN) is Evidence.EXECUTED
    assert judge(SWAP, before, shaped(a="2", b="1", c=None), Logged.NO) is Evidence.UNKNOWN
    for now in (shaped(a=None, b="2", c="1"), shaped(a="2", b=None, c="1"), shaped(a="2", b="3", c=None)):
        assert judge(SWAP, before, now, Logged.UNKNOWN) is Evidence.UNKNOWN


def test_a_rename_is_known_by_the_shapes() -> None:
    move = read("RENAME TABLE a TO b", "ab", "b", "a")
    assert judge(move, shaped(a="1", b=None), shaped(a=None, b="1"), Logged.UNKNOWN) is Evidence.EXECUTED
    assert judge(move, shaped(a="1", b=None), shaped(a=None, b="2"), Logged.UNKNOWN) is Evidence.UNKNOWN


def test_a_statement_of_which_nothing_is_seen() -> None:
    for text in ("ALTER SOMETHING", "CREATE WHATEVER x"):
        assert judge(read(text, ""), shaped(), shaped(), Logged.UNKNOWN) is Evidence.UNKNOWN
        assert judge(read(text, ""), shaped(), shaped(), Logged.NO) is Evidence.REPEAT


def programs(**digests: str) -> Fingerprint:
    return Fingerprint({}, programs={f"PROCEDURE s.{name}": digest for name, digest in digests.items()})


def test_a_program_is_known_by_its_name_and_body() -> None:
    create, drop = read("CREATE PROCEDURE p() SELECT 1", ""), read("DROP PROCEDURE `p`", "")
    replace = read("CREATE OR REPLACE DEFINER=root@x PROCEDURE p() SELECT 1", "")
    bodies = {"PROCEDURE s.p": "SELECT 1", "PROCEDURE s.q": "SELECT 1"}
    other = {"PROCEDURE s.p": "SELECT 2"}
    assert judge(create, programs(), programs(), Logged.UNKNOWN, bodies) is Evidence.REPEAT
    assert judge(create, programs(), programs(q="1"), Logged.UNKNOWN, bodies) is Evidence.REPEAT
    assert judge(create, programs(), programs(p="1", q="1"), Logged.UNKNOWN, bodies) is Evidence.EXECUTED
    assert judge(create, programs(), programs(p="1"), Logged.UNKNOWN, other) is Evidence.UNKNOWN
    assert judge(create, programs(p="0"), programs(p="1"), Logged.UNKNOWN, bodies) is Evidence.UNKNOWN
    assert judge(drop, programs(p="1"), programs(), Logged.UNKNOWN) is Evidence.EXECUTED
    assert judge(drop, programs(p="1"), programs(p="1"), Logged.UNKNOWN) is Evidence.REPEAT
    assert judge(replace, programs(p="1"), programs(p="2"), Logged.UNKNOWN, other) is Evidence.REPEAT


SHAPES = st.one_of(st.none(), st.sampled_from(["1", "2"]))


@given(SHAPES, SHAPES, SHAPES, SHAPES, st.permutations(["a", "b", "c"]))
def test_a_rename_is_executed_only_where_every_table_is_where_it_belongs(
    a: str | None, b: str | None, x: str | None, y: str | None, names: list[str]
) -> None:
    """Whatever two of the tables are like now: EXECUTED means that they are exactly what the swap makes of them."""
    one, other, third = names
    swap = read(f"RENAME TABLE {one} TO {third}, {other} TO {one}, {third} TO {other}", "abc")
    before, now = shaped(**{one: a, other: b, third: None}), shaped(**{one: x, other: y, third: None})
    verdict = judge(swap, before, now, Logged.UNKNOWN)
    if verdict is Evidence.EXECUTED:
        assert (x, y) == (b, a) != (a, b)
    if verdict is Evidence.REPEAT:
        assert (x, y) == (a, b) != (b, a)
