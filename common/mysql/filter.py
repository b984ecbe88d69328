"""Which tables a changefeed replicates.

The syntax is the field's: a rule is `schema.table` with the wildcards `*` (any characters) and `?` (one), `!` in front
excludes, and the last rule that matches a table decides. A table that no rule matches is not replicated; no rules at
all mean every user table. A part with a dot or a wildcard character in its name is quoted with backticks, which make
everything inside literal. Names are compared as written, upper and lower case apart. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from hedgerow.common.errors import BadInput

SYSTEM_SCHEMAS: Final = frozenset({"mysql", "information_schema", "performance_schema", "sys", "hedgerow"})
EXAMPLE: Final = "'shop.*', '!shop.audit_*', '`odd.name`.orders'"

ANY: Final = "any characters"
ONE: Final = "any character"
_WILDCARDS: Final = {"*": ANY, "?": ONE}
_PART = re.compile(r"`((?:[^`]|``)+)`|([^.`!\s]+)")


@dataclass(frozen=True, slots=True)
class Pattern:
    """What one part of a rule matches: pieces of fixed length, with anything between them.

    Each piece is taken where it is met first, which leaves most to the next ones: so nothing is tried twice, whatever
    the number of stars.
    """

    pieces: tuple[re.Pattern[str], ...]
    lengths: tuple[int, ...]
    symbols: tuple[str, ...] = ()  # the characters, with ANY and ONE for the wildcards

    @classmethod
    def parse(cls, text: str) -> Pattern:
        pieces = text.split("*")
        expressions = ("".join("." if char == "?" else re.escape(char) for char in piece) for piece in pieces)
        symbols = tuple(_WILDCARDS.get(char, char) for char in text)
        return cls(tuple(re.compile(each, re.DOTALL) for each in expressions), tuple(map(len, pieces)), symbols)

    @classmethod
    def literal(cls, text: str) -> Pattern:
        return cls((re.compile(re.escape(text), re.DOTALL),), (len(text),), tuple(text))

    def matches(self, text: str) -> bool:
        first, *others = self.pieces
        if not others:
            return first.fullmatch(text) is not None
        end = len(text) - self.lengths[-1]
        if end < self.lengths[0] or not first.match(text) or not others.pop().match(text, end):
            return False
        at = self.lengths[0]
        for piece in others:
            found = piece.search(text, at, end)
            if found is None:
                return False
            at = found.end()
        return True


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `every_table`: its table part matches any name."""

    text: str
    exclude: bool
    every_table: bool
    schema: Pattern = field(repr=False)
    table: Pattern = field(repr=False)


@dataclass(frozen=True, slots=True)
class TableFilter:
    """An ordered list of rules; immutable, shared between threads."""

    rules: tuple[Rule, ...] = ()

    @classmethod
    def parse(cls, rules: Sequence[str]) -> TableFilter:
        """Read rules. Raises BadInput that names the rule and what is wrong with it."""
        parsed = tuple(_parse(rule) for rule in rules)
        if parsed and all(rule.exclude for rule in parsed):
            raise BadInput(
                f"filter {', '.join(repr(rule.text) for rule in parsed)} only excludes, so no table would match: "
                "put '*.*', or what is to be replicated, in front"
            )
        return cls(parsed)

    def matches(self, schema: str, table: str) -> bool:
        """Whether the table is replicated."""
        if schema.lower() in SYSTEM_SCHEMAS:
            return False
        for rule in reversed(self.rules):
            if rule.schema.matches(schema) and rule.table.matches(table):
                return not rule.exclude
        return not self.rules

    def matches_schema(self, schema: str) -> bool:
        """Whether some table of this schema could be replicated."""
        if schema.lower() in SYSTEM_SCHEMAS:
            return False
        for rule in reversed(self.rules):
            if rule.schema.matches(schema):
                if not rule.exclude:
                    return True
                if rule.every_table:
                    return False
        return not self.rules

    def covers_schema(self, schema: str) -> bool:
        """Whether every table that this schema has, or may ever have, is replicated."""
        if schema.lower() in SYSTEM_SCHEMAS:
            return False
        for rule in reversed(self.rules):
            if rule.schema.matches(schema):
                if rule.exclude:
                    return False
                if rule.every_table:
                    return True
        return not self.rules

    def __str__(self) -> str:
        return ", ".join(rule.text for rule in self.rules) or "every user table"


def _parse(text: str) -> Rule:
    body = text.strip()
    exclude = body.startswith("!")
    body = body.removeprefix("!").strip()
    schema = _PART.match(body)
    if not schema or body[schema.end() : schema.end() + 1] != ".":
        raise _bad(text, "is not schema.table" + (f" (for a whole schema: '{body}.*')" if body.isidentifier() else ""))
    table = _PART.fullmatch(body, schema.end() + 1)
    if not table:
        raise _bad(text, "is not schema.table: quote a part that holds dots, spaces, '!' or backticks with backticks")
    if not exclude and (schema[1] or schema[2]).lower() in SYSTEM_SCHEMAS:
        raise _bad(text, f"names a system schema; {', '.join(sorted(SYSTEM_SCHEMAS))} are never replicated")
    every_table = table[2] is not None and set(table[2]) == {"*"}
    return Rule(text.strip(), exclude, every_table, _pattern(schema), _pattern(table))


def _pattern(part: re.Match[str]) -> Pattern:
    return Pattern.parse(part[2]) if part[1] is None else Pattern.literal(part[1].replace("``", "`"))


def _bad(text: str, why: str) -> BadInput:
    return BadInput(f"filter rule {text!r} {why}. Examples: {EXAMPLE}")
