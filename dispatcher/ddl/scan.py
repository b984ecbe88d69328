"""A cursor over tokens, with the few moves that reading the head of a statement takes. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from hedgerow.common.mysql.names import TableName
from hedgerow.dispatcher.ddl.lexer import Token
from hedgerow.dispatcher.ddl.model import Edit


class Unclear(Exception):
    """The statement does not read as expected: its reader gives up and the statement is UNKNOWN."""


class Scan:
    """Reads forward. Names without a schema get the default schema; `lower_names`: lower_case_table_names=1."""

    def __init__(self, tokens: Sequence[Token], default_schema: str, lower_names: bool) -> None:
        self.tokens = tokens
        self.at = 0
        self._default_schema = default_schema
        self._lower_names = lower_names

    @property
    def done(self) -> bool:
        return self.at >= len(self.tokens)

    def looks_at(self, *values: str, ahead: int = 0) -> bool:
        """Whether the token `ahead` of the cursor is one of these words or symbols."""
        index = self.at + ahead
        if index >= len(self.tokens):
            return False
        token = self.tokens[index]
        return token.kind in ("word", "symbol") and token.value in values

    def takes(self, *phrase: str) -> bool:
        """Move over these words or symbols, if all of them come next."""
        if all(self.looks_at(value, ahead=ahead) for ahead, value in enumerate(phrase)):
            self.at += len(phrase)
            return True
        return False

    def takes_any(self, *values: str) -> str:
        """Move over one of these and return it; otherwise return an empty string."""
        for value in values:
            if self.takes(value):
                return value
        return ""

    def expect(self, *phrase: str) -> None:
        if not self.takes(*phrase):
            raise Unclear(f"expected {' '.join(phrase)}")

    def skip(self) -> None:
        self.at += 1

    def identifier(self) -> str:
        if self.done or self.tokens[self.at].kind not in ("word", "quoted"):
            raise Unclear("expected a name")
        token = self.tokens[self.at]
        self.at += 1
        return token.value if token.kind == "quoted" else token.text

    def schema(self) -> str:
        return self._case(self.identifier())

    @property
    def has_default_schema(self) -> bool:
        return bool(self._default_schema)

    def default_schema(self) -> str:
        if not self._default_schema:
            raise Unclear("a name without schema, and no default schema")
        return self._case(self._default_schema)

    def name(self, schema: str = "") -> TableName:
        """`table` or `schema.table`; MariaDB reads `.table` as well. `schema`: instead of the default one."""
        if self.takes("."):
            return TableName(self.default_schema(), self._case(self.identifier()))
        first = self.identifier()
        if self.takes("."):
            return TableName(self._case(first), self._case(self.identifier()))
        return TableName(schema or self.default_schema(), self._case(first))

    def names(self) -> tuple[TableName, ...]:
        """Names with commas between them."""
        listed = [self.name()]
        while self.takes(","):
            listed.append(self.name())
        return tuple(listed)

    def find(self, word: str) -> None:
        """Move past the next such word."""
        while not self.done:
            if self.takes(word):
                return
            self.skip()
        raise Unclear(f"expected {word}")

    def skip_existence(self) -> None:
        """Move over IF EXISTS and IF NOT EXISTS."""
        self.takes("IF", "EXISTS") or self.takes("IF", "NOT", "EXISTS")

    def if_exists(self) -> tuple[Edit, ...]:
        """Move over IF EXISTS; where it is not there, the edit that puts it there.

        A DROP is replicated when the sink does not have the thing any more. It need not have been there: its CREATE may
        have been left out, and MariaDB logs a DROP of several tables also when some of them were not found.
        """
        if self.takes("IF", "EXISTS") or self.done:
            return ()
        at = self.tokens[self.at].start
        return (Edit(at, at, "IF EXISTS "),)

    def skip_group(self) -> None:
        """Move past what is in parentheses, if that comes next."""
        depth = 0
        while not self.done:
            depth += self.looks_at("(") - self.looks_at(")")
            if depth == 0 and not self.looks_at(")"):
                return
            self.skip()
            if depth == 0:
                return

    def expect_end(self) -> None:
        if not self.done:
            raise Unclear(f"{self.tokens[self.at].text[:40]!r} was not expected")

    def skip_wait(self) -> None:
        """Move over MariaDB's WAIT n and NOWAIT."""
        if not self.takes("NOWAIT") and self.takes("WAIT"):
            self.skip()

    def _case(self, name: str) -> str:
        return name.lower() if self._lower_names else name
