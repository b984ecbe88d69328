"""Classification over a table of statements, against sqlglot, and under noise that must not change it."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import NamedTuple

import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from common.mysql import Flavour
from common.names import TableName
from common.pb.v1 import model_pb2 as pb
from dispatcher.ddl import Classified, Kind, classify
from dispatcher.ddl.lexer import ANSI_QUOTES, NO_BACKSLASH_ESCAPES, Token, tokens


class Case(NamedTuple):
    flavour: Flavour
    kind: str
    touches: str
    creates: str
    drops: str
    statement: str


def _read_cases() -> list[Case]:
    cases = []
    for line in Path(__file__).with_name("statements.txt").read_text(encoding="utf-8").splitlines()[1:]:
        flavour, *rest = (part.strip() for part in f"{line} ".split(" | ", 5))
        flavours: tuple[Flavour, ...] = ("mysql", "mariadb")
        cases += [Case(each, *rest) for each in flavours if flavour in (each, "both")]
    return cases


CASES = _read_cases()
KNOWN = [case for case in CASES if case.kind not in ("UNKNOWN", "EMPTY")]


def _shown(names: tuple[TableName, ...]) -> str:
    return " ".join(name.key for name in names) or "-"


def _meaning(classified: Classified) -> Classified:
    return dataclasses.replace(classified, statement="", reason="")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.flavour}: {case.statement}")
def test_statement(case: Case) -> None:
    found = classify(case.statement, "d", case.flavour)
    shown = Case(
        case.flavour, found.kind.name, _shown(found.touches), _shown(found.creates), _shown(found.drops), case.statement
    )
    assert shown == case
    assert set(found.creates) | set(found.drops) | set(found.needs) <= set(found.touches)
    everything = found.kind in (Kind.UNKNOWN, Kind.DML)
    assert found.scope == (pb.EVERYTHING if everything else pb.SCHEMA if found.kind is Kind.SCHEMA else pb.TABLES)
    if found.ignorable or everything:
        assert found.reason


def test_the_table_is_large() -> None:
    assert len({case.statement for case in CASES}) >= 160


def _oracle(statement: str) -> set[TableName] | None:
    """The tables that sqlglot finds in it, None where it cannot tell."""
    # It takes executable comments for comments, and a dropped constraint for a table.
    if any(text in statement for text in ("/*!", "/*M!", "DROP FOREIGN KEY")):
        return None
    try:
        tree = sqlglot.parse_one(statement, dialect="mysql")
    except sqlglot.errors.SqlglotError:
        return None
    if not isinstance(tree, exp.Create | exp.Drop | exp.Alter | exp.TruncateTable):
        return None
    return {TableName(table.db or "d", table.name) for table in tree.find_all(exp.Table) if table.name}


def test_sqlglot_agrees_where_it_understands() -> None:
    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)
    judged = 0
    for case in KNOWN:
        theirs = _oracle(case.statement) if case.kind == "TABLE" else None
        if theirs is not None:
            assert theirs <= set(classify(case.statement, "d", case.flavour).touches), case.statement
            judged += 1
    assert judged >= 60


NOISE = st.sampled_from(
    [" ", "\n", "\t ", "/**/", " /* DROP TABLE x; */ ", " -- RENAME TO 'x\n", "#`\n", "/*+ hint */"]
)


def _rebuilt(found: list[Token], noise: list[str], lower: bool, quote: str) -> str:
    """The same tokens with other comments, white space and letters, and names in other quotes."""
    pieces = [noise[0]]
    for index, token in enumerate(found):
        text = token.text
        if token.kind == "quoted":
            text = quote + token.value.replace(quote, quote * 2) + quote
        elif token.kind == "word" and lower and token.value in KEYWORDS:
            text = text.lower()
        after = found[index + 1] if index + 1 < len(found) else None
        glued = after is not None and "string" in (token.kind, after.kind)
        pieces += [text, "" if glued or after is None else noise[index % len(noise)]]
    return "".join(pieces)


KEYWORDS = frozenset(
    {"CREATE", "DROP", "ALTER", "RENAME", "TABLE", "TABLES", "TRUNCATE", "INDEX", "VIEW", "TRIGGER", "PROCEDURE"}
    | {"DATABASE", "SCHEMA", "IF", "NOT", "EXISTS", "OR", "REPLACE", "LIKE", "TO", "ON", "REFERENCES", "EXCHANGE"}
    | {"PARTITION", "WITH", "TEMPORARY", "SEQUENCE", "EVENT", "GRANT", "BEGIN", "COMMIT", "XA", "INSERT", "DEFINER"}
)


@given(st.sampled_from(KNOWN), st.lists(NOISE, min_size=1, max_size=7), st.booleans(), st.booleans())
def test_noise_changes_nothing(case: Case, noise: list[str], lower: bool, ansi: bool) -> None:
    found = list(tokens(case.statement, case.flavour))
    mode = ANSI_QUOTES if ansi and '"' not in case.statement else 0
    text = _rebuilt(found, noise, lower, '"' if mode else "`")
    before, after = classify(case.statement, "d", case.flavour), classify(text, "d", case.flavour, sql_mode=mode)
    assert _meaning(before) == _meaning(after), text


@given(st.text(max_size=60), st.sampled_from(["mysql", "mariadb"]))
def test_any_text_is_classified(text: str, flavour: Flavour) -> None:
    found = classify(text, "d", flavour)
    assert found.kind is not Kind.UNKNOWN or found.scope == pb.EVERYTHING


@given(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_any_quoted_name_is_read_back(name: str) -> None:
    table = TableName("d", name)
    assert classify(f"TRUNCATE TABLE {table.quoted}", "", "mysql").touches == (table,)


def test_sql_modes() -> None:
    assert classify('DROP TABLE "a""b"', "d", "mysql", sql_mode=ANSI_QUOTES).drops == (TableName("d", 'a"b'),)
    assert classify("ALTER TABLE t COMMENT '\\', RENAME TO u -- '", "d", "mysql").drops == ()
    assert classify(
        "ALTER TABLE t COMMENT '\\', RENAME TO u -- '", "d", "mysql", sql_mode=NO_BACKSLASH_ESCAPES
    ).drops == (TableName("d", "t"),)


def test_names_fold_where_the_source_folds_them() -> None:
    found = classify("RENAME TABLE Shop.A TO B", "D", "mysql", lower_names=True)
    assert found.touches == (TableName("shop", "a"), TableName("d", "b"))


def test_no_default_schema_means_unknown() -> None:
    assert classify("DROP TABLE t", "", "mysql").scope == pb.EVERYTHING
    assert classify("DROP TABLE s.t", "", "mysql").touches == (TableName("s", "t"),)


def test_the_mark_of_an_atomic_create_select_is_cut() -> None:
    found = classify("CREATE TABLE `t` (`a` int) START TRANSACTION", "d", "mysql")
    assert found.statement == "CREATE TABLE `t` (`a` int)"
    assert classify("DROP TABLE t", "d", "mysql").statement == "DROP TABLE t"
