"""A table that two filters both replicate, if there can be one: two changefeeds must not write to the same table. Pure.

Two patterns are walked side by side, which yields the shortest name that both match. Rules exclude: the shortest name
of two rules may match neither filter: names with some characters for the wildcards are tried as well. What is found is
such a name for certain; that nothing is found proves nothing (the sink's own list of tables is the net below).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

from hedgerow.common.mysql.filter import ANY, ONE, Pattern, TableFilter

_FILLINGS: Final = ("", "zqx", "a", "7")
_ALL: Final = Pattern.parse("*")


def common_table(one: TableFilter, other: TableFilter) -> tuple[str, str] | None:
    """(schema, table) that both filters match; None where none was found."""
    for schemas, tables in _pairs(one, other):
        for filling in _FILLINGS:
            schema = common_name(_filled(schemas[0], filling), schemas[1]) or common_name(
                schemas[0], _filled(schemas[1], filling)
            )
            table = common_name(_filled(tables[0], filling), tables[1]) or common_name(
                tables[0], _filled(tables[1], filling)
            )
            if schema and table and one.matches(schema, table) and other.matches(schema, table):
                return schema, table
    return None


def common_name(one: tuple[str, ...], other: tuple[str, ...]) -> str:
    """The shortest name that both sequences of symbols match; empty where there is none, or only the empty one."""
    names: dict[tuple[int, int], str] = {(0, 0): ""}
    waiting = deque([(0, 0)])
    while waiting:
        at = waiting.popleft()
        if at == (len(one), len(other)):
            return names[at]
        left = one[at[0]] if at[0] < len(one) else ""
        right = other[at[1]] if at[1] < len(other) else ""
        for step, char in _steps(left, right):
            there = (at[0] + step[0], at[1] + step[1])
            if there not in names:
                names[there] = names[at] + char
                (waiting.append if char else waiting.appendleft)(there)
    return ""


def _steps(left: str, right: str) -> Iterator[tuple[tuple[int, int], str]]:
    if left == ANY:
        yield (1, 0), ""
        if right and right != ANY:
            yield (0, 1), _character(right)
    if right == ANY:
        yield (0, 1), ""
        if left and left != ANY:
            yield (1, 0), _character(left)
    if left and right and ANY not in (left, right) and (left == right or ONE in (left, right)):
        yield (1, 1), _character(right if left == ONE else left)


def _character(symbol: str) -> str:
    return "x" if symbol == ONE else symbol


def _filled(symbols: tuple[str, ...], filling: str) -> tuple[str, ...]:
    """With these characters after each ANY."""
    return tuple(each for symbol in symbols for each in ((symbol, *filling) if symbol == ANY else (symbol,)))


def _pairs(
    one: TableFilter, other: TableFilter
) -> Iterator[tuple[tuple[tuple[str, ...], tuple[str, ...]], tuple[tuple[str, ...], tuple[str, ...]]]]:
    """The symbols of the schemas, and of the tables, of every two rules that include."""
    for schema, table in _included(one):
        for their_schema, their_table in _included(other):
            yield (schema.symbols, their_schema.symbols), (table.symbols, their_table.symbols)


def _included(table_filter: TableFilter) -> list[tuple[Pattern, Pattern]]:
    if not table_filter.rules:
        return [(_ALL, _ALL)]
    return [(rule.schema, rule.table) for rule in table_filter.rules if not rule.exclude]
