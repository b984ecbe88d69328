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

from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.mysql.names import TableName
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.ddl import Classified, DdlKind, classify
from hedgerow.dispatcher.ddl.lexer import ANSI_QUOTES, MSSQL, NO_BACKSLASH_ESCAPES, Token, tokens
from hedgerow.dispatcher.ddl.model import at_byte
from hedgerow.sandbox.flavours import FLAVOURS


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
    return dataclasses.replace(classified, statement="", reason="", edits=())


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.flavour}: {case.statement}")
def test_statement(case: Case) -> None:
    found = classify(case.statement, "d", case.flavour)
    shown = Case(
        case.flavour, found.kind.name, _shown(found.touches), _shown(found.creates), _shown(found.drops), case.statement
    )
    assert shown == case
    assert set(found.creates) | set(found.drops) | set(found.needs) <= set(found.touches)
    everything = found.kind in (DdlKind.UNKNOWN, DdlKind.DML)
    assert found.scope == (pb.EVERYTHING if everything else pb.SCHEMA if found.kind is DdlKind.SCHEMA else pb.TABLES)
    if found.ignorable or everything:
        assert found.reason


def test_the_table_is_large() -> None:
    assert len({case.statement for case in CASES}) >= 160


def _oracle(statement: str) -> set[TableName] | None:
    """The tables that sqlglot finds in it, None where it cannot tell."""
    # It takes executable comments for comments, a dropped constraint for a table, and some of a name for a space.
    if any(text in statement for text in ("/*!", "/*M!", "DROP FOREIGN KEY", "\u3000", "\xa0")):
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
        glued = after is not None and "string" in (token.kind, after.kind) and "$" not in (token.text[0], after.text[0])
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
    assert found.kind is not DdlKind.UNKNOWN or found.scope == pb.EVERYTHING


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
    partitioned = classify(
        "CREATE TABLE `t` (`a` int) START TRANSACTION /*!50100 PARTITION BY HASH (`a`) */", "d", "mysql"
    )
    assert partitioned.statement == "CREATE TABLE `t` (`a` int) /*!50100 PARTITION BY HASH (`a`) */"
    plain = "CREATE TABLE t (start int comment ' START TRANSACTION')"
    assert classify(plain, "d", "mysql").statement == plain


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("DROP TABLE a, b", "DROP TABLE IF EXISTS a, b"),
        ("DROP TABLE IF EXISTS a", "DROP TABLE IF EXISTS a"),
        ("DROP VIEW /* c */ a", "DROP VIEW /* c */ IF EXISTS a"),
        ("DROP SEQUENCE `a`", "DROP SEQUENCE IF EXISTS `a`"),
        ("DROP TRIGGER s.a", "DROP TRIGGER IF EXISTS s.a"),
        ("DROP PACKAGE BODY a", "DROP PACKAGE BODY IF EXISTS a"),
        ("DROP PROCEDURE a", "DROP PROCEDURE IF EXISTS a"),
        ("DROP DATABASE a", "DROP DATABASE a"),
        ("CREATE TABLE a (b int)", "CREATE TABLE a (b int)"),
        ("SET STATEMENT max_statement_time=(SELECT 1), server_id=2 FOR DROP TABLE a", "DROP TABLE IF EXISTS a"),
        (
            "SET STATEMENT a.b='c', timestamp=1, foreign_key_checks = 0,lock_wait_timeout=5 FOR TRUNCATE t",
            "SET STATEMENT a.b='c', foreign_key_checks = 0 FOR TRUNCATE t",
        ),
    ],
)
def test_what_the_sink_executes(statement: str, expected: str) -> None:
    assert classify(statement, "d", "mariadb").statement == expected


def test_a_space_of_the_client() -> None:
    assert classify("DROP TABLE\xa0t\xa0", "d", "mysql", nbsp=True).drops == (TableName("d", "t"),)
    assert classify("DROP TABLE \xa0t", "d", "mysql").drops == (TableName("d", "\xa0t"),)


def test_brackets_quote_in_mssql_mode() -> None:
    assert classify("DROP TABLE [a]]b]", "d", "mariadb", sql_mode=MSSQL).drops == (TableName("d", "a]b"),)
    assert classify("DROP TABLE [a]", "d", "mysql", sql_mode=MSSQL).kind is DdlKind.UNKNOWN


FILLS = {
    "ADD c INT DEFAULT 5": "",
    "ADD c INT": "",
    "ADD c VARCHAR(9) NOT NULL DEFAULT 'UUID()' COMMENT 'RAND()'": "",
    "ADD c TIMESTAMP(6) NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6)": "",
    "ADD (c DATETIME DEFAULT NOW(), d DATE DEFAULT (CURDATE() + INTERVAL 1 DAY))": "",
    "ADD c JSON DEFAULT (JSON_ARRAY(1, 2))": "",
    "ADD c POINT DEFAULT (ST_GeomFromText('POINT(0 0)')), ADD d INT DEFAULT (ABS(-1) + LENGTH(v))": "",
    "ADD c DECIMAL(5,2) DEFAULT -1.5 CHECK (c > RAND())": "",
    "ADD c VARCHAR(40) DEFAULT (CASE WHEN v IN ('a') THEN 'b' ELSE CAST(id AS CHAR(5)) END)": "",
    "ADD `uuid` INT DEFAULT 1 AFTER auto_increment": "",
    "ADD c BIT DEFAULT b'1', ADD d VARCHAR(3) DEFAULT _utf8mb4'x'": "",
    "MODIFY c VARCHAR(36) DEFAULT (UUID())": "",  # rows keep what they have
    "ALTER c SET DEFAULT (UUID())": "",
    "ADD c INT AS (RAND()) VIRTUAL": "",  # no value is kept
    "ADD c INT AS (id + 1) STORED": "",
    "ADD KEY (auto_increment), ADD CONSTRAINT x CHECK (c > 1)": "",
    "ADD PARTITION (PARTITION p1 DEFAULT)": "",
    "AUTO_INCREMENT = 5": "",
    "ADD c VARCHAR(36) DEFAULT (UUID())": "UUID() for column c",
    "ADD c VARCHAR(36) DEFAULT UUID() NOT NULL": "UUID() for column c",
    "ADD COLUMN IF NOT EXISTS c INT, ADD (d INT, e TEXT DEFAULT (CONCAT('a', `uuid`())))": "`uuid`() for column e",
    "ADD c VARCHAR(99) DEFAULT (CONCAT(NOW(), RAND()))": "RAND() for column c",
    "ADD c VARCHAR(99) DEFAULT CURRENT_USER": "CURRENT_USER for column c",
    "ADD c VARCHAR(99) DEFAULT CURRENT_ROLE()": "CURRENT_ROLE for column c",
    "ADD c INT DEFAULT (CONNECTION_ID())": "CONNECTION_ID() for column c",
    "ADD c INT DEFAULT (@@server_id)": "a variable for column c",
    "ADD c INT DEFAULT @x": "a variable for column c",
    "ADD c INT DEFAULT (1 / 3)": "a division for column c",
    "ADD c INT DEFAULT NEXT VALUE FOR s.q": "NEXT for column c",
    "ADD c INT DEFAULT (1 + NEXTVAL(q))": "NEXTVAL() for column c",
    "ADD c INT DEFAULT d.f()": "f() for column c",
    "ADD c VARCHAR(99) AS (ENCRYPT(v)) PERSISTENT": "ENCRYPT() for column c",
    "MODIFY c INT AS (WEEK(d)) STORED": "WEEK() for column c",
    "ADD id INT AUTO_INCREMENT PRIMARY KEY FIRST": "ordered the numbers of column id",
    "ADD (v INT, id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT, KEY (id))": "ordered the numbers of column id",
    "ADD id SERIAL": "ordered the numbers of column id",
    "ADD id INT SERIAL DEFAULT VALUE": "ordered the numbers of column id",
    "MODIFY id INT NOT NULL AUTO_INCREMENT": "ordered the numbers of column id where id is empty",
    "CHANGE a id INT NOT NULL AUTO_INCREMENT, ADD KEY (id)": "ordered the numbers of column id where a is empty",
}


@pytest.mark.parametrize("clauses", FILLS)
def test_what_each_server_would_choose_for_itself(clauses: str) -> None:
    for flavour in FLAVOURS:
        found = classify(f"ALTER TABLE t {clauses}", "d", flavour)
        assert found.kind is DdlKind.TABLE
        shown = [
            f"{'ordered ' * fill.ordered}{fill.what}{f' where {fill.numbered} is empty' * bool(fill.numbered)}"
            for fill in found.fills
        ]
        assert shown == [FILLS[clauses]] * bool(FILLS[clauses]), found.fills


def test_alter_ignore_drops_rows() -> None:
    assert [fill.ordered for fill in classify("ALTER IGNORE TABLE t ADD UNIQUE (a)", "d", "mariadb").fills] == [True]
    assert classify("CREATE TABLE t (a VARCHAR(36) DEFAULT (UUID()))", "d", "mariadb").fills == ()


@given(st.text(max_size=12), st.text(max_size=12), st.sampled_from(["utf-8", "shift_jis", "gbk", "cp1251"]))
def test_an_edit_finds_its_byte(before: str, after: str, codec: str) -> None:
    head, tail = before.encode(codec, "ignore") + b" ", after.encode(codec, "ignore")

    def decode(raw: bytes) -> str:
        return raw.decode(codec, "replace")

    assert at_byte(head + tail, decode(head + tail), len(decode(head)), decode) == len(head)
