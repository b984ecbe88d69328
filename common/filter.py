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

from common.errors import BadInput

SYSTEM_SCHEMAS: Final = frozenset({"mysql", "information_schema", "performance_schema", "sys", "hedgerow"})
EXAMPLE: Final = "'shop.*', '!shop.audit_*', '`odd.name`.orders'"

_PART = re.compile(r"`((?:[^`]|``)+)`|([^.`!\s]+)")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `every_table`: its table part matches any name."""

    text: str
    exclude: bool
    every_table: bool
    schema: re.Pattern[str] = field(repr=False)
    table: re.Pattern[str] = field(repr=False)


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
            if rule.schema.fullmatch(schema) and rule.table.fullmatch(table):
                return not rule.exclude
        return not self.rules

    def matches_schema(self, schema: str) -> bool:
        """Whether some table of this schema could be replicated."""
        if schema.lower() in SYSTEM_SCHEMAS:
            return False
        for rule in reversed(self.rules):
            if rule.schema.fullmatch(schema):
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
            if rule.schema.fullmatch(schema):
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


def _pattern(part: re.Match[str]) -> re.Pattern[str]:
    if part[1] is not None:
        return re.compile(re.escape(part[1].replace("``", "`")), re.DOTALL)
    wild = {"*": ".*", "?": "."}
    return re.compile("".join(wild.get(char) or re.escape(char) for char in part[2]), re.DOTALL)


def _bad(text: str, why: str) -> BadInput:
    return BadInput(f"filter rule {text!r} {why}. Examples: {EXAMPLE}")
