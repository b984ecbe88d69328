"""Table filters: the rules one by one, and what must hold between the three questions."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.common.errors import BadInput
from hedgerow.common.mysql.filter import SYSTEM_SCHEMAS, Pattern, TableFilter

NAMES = st.sampled_from(["a", "b", "ab", "ba", "abc", "A"])
STARRED = st.text("ab*?", min_size=1, max_size=8)
PARTS = st.sampled_from(["*", "?", "a", "b", "a*", "*b", "?b", "ab", "`a`", "`*`"])
RULES = st.builds(lambda out, schema, table: f"{out}{schema}.{table}", st.sampled_from(["", "", "!"]), PARTS, PARTS)
FILTERS = st.lists(RULES, max_size=5).filter(lambda rules: not rules or any(r[0] != "!" for r in rules))


@pytest.mark.parametrize(
    ("rules", "table", "expected"),
    [
        ([], "shop.orders", True),
        ([], "mysql.user", False),
        ([], "hedgerow.fence", False),
        (["*.*"], "sys.x", False),
        (["*.*"], "HEDGEROW.fence", False),
        (["shop.*"], "shop.orders", True),
        (["shop.*"], "shop2.orders", False),
        (["shop?.*"], "shop2.orders", True),
        (["shop?.*"], "shop.orders", False),
        (["shop.*", "!shop.tmp_*"], "shop.tmp_1", False),
        (["shop.*", "!shop.tmp_*", "shop.tmp_2"], "shop.tmp_2", True),
        (["!shop.tmp_*", "shop.*"], "shop.tmp_1", True),
        (["shop.Orders"], "shop.orders", False),
        (["`a.b`.`c*`"], "a.b|c*", True),
        (["`a.b`.`c*`"], "a.b|cd", False),
        (["`a``b`.c"], "a`b.c", True),
        (["a[b.c+"], "a[b.c+", True),
        (["a.*"], "a.naïve\nname", True),
    ],
)
def test_rules(rules: list[str], table: str, expected: bool) -> None:
    schema, _, name = table.partition("|" if "|" in table else ".")
    assert TableFilter.parse(rules).matches(schema, name) is expected


@pytest.mark.parametrize(
    "rule", ["", "shop", "a.b.c", "a.", ".b", "a b.c", "!", "!!a.b", "a.!b", "`a.b", "mysql.*", "a.`"]
)
def test_a_bad_rule_is_named(rule: str) -> None:
    with pytest.raises(BadInput, match="filter rule") as caught:
        TableFilter.parse(["shop.*", rule])
    assert repr(rule) in str(caught.value)


def test_only_excluding_is_refused() -> None:
    with pytest.raises(BadInput, match="only excludes"):
        TableFilter.parse(["!a.b", "!c.*"])


@given(FILTERS, NAMES, NAMES)
def test_later_rules_win(rules: list[str], schema: str, table: str) -> None:
    def hit(rule: str) -> bool:
        pairs = zip(rule.removeprefix("!").split("."), (schema, table), strict=True)
        return all(p[1:-1] == n if p[0] == "`" else fnmatch.fnmatchcase(n, p) for p, n in pairs)

    deciding = [rule for rule in rules if hit(rule)][-1:]
    expected = not rules or (bool(deciding) and not deciding[0].startswith("!"))
    assert TableFilter.parse(rules).matches(schema, table) is expected


@given(FILTERS, NAMES, NAMES)
def test_schema_questions_bound_the_table_question(rules: list[str], schema: str, table: str) -> None:
    chosen = TableFilter.parse(rules)
    if chosen.matches(schema, table):
        assert chosen.matches_schema(schema)
    else:
        assert not chosen.covers_schema(schema)
    if chosen.covers_schema(schema):
        assert chosen.matches_schema(schema)


@given(FILTERS, st.sampled_from(sorted(SYSTEM_SCHEMAS)), NAMES)
def test_system_schemas_never_match(rules: list[str], schema: str, table: str) -> None:
    chosen = TableFilter.parse(rules)
    assert not chosen.matches(schema, table)
    assert not chosen.matches_schema(schema)
    assert not chosen.covers_schema(schema)


@given(STARRED, st.text("ab\n", max_size=8))
def test_stars(pattern: str, name: str) -> None:
    assert Pattern.parse(pattern).matches(name) is fnmatch.fnmatchcase(name, pattern)


@pytest.mark.timeout(20)
def test_many_stars_take_no_longer() -> None:
    """Or a node would stand still for minutes."""
    chosen = TableFilter.parse(["*." + "*a" * 30 + "*b"])
    for _ in range(1000):
        assert not chosen.matches("s", "a" * 64)
    assert chosen.matches("s", "a" * 63 + "b")


@given(st.text("*?.[]\\\n -+", min_size=1, max_size=6))
def test_quoted_is_literal(name: str) -> None:
    assert Pattern.literal(name).matches(name)
    assert not Pattern.literal(name).matches(name + "x")
