"""What an action gets: the world, the session whose turn it is, chance, and a pen that writes as the session reads.

An action is a function of a Turn that returns a Draft, or None where it has nothing to work on. It changes nothing
itself: the generator applies a draft when it has decided to keep it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from hedgerow.common.mysql.names import TableName
from tests.storm.columns import LABELS, PLAIN_INT, Type, types
from tests.storm.names import COLUMNS, TABLES, fresh, quoted
from tests.storm.world import Column, Session, Table, World

EVERYTHING: Final = "*"
_MOST_COLUMNS: Final = 12
_FOCUS_SHARE: Final = 0.5


def _nothing() -> None: ...


@dataclass(frozen=True, slots=True)
class Draft:
    """One statement. `touches`: what must not be changed by others at the same time; EVERYTHING where that is all.
    `keeps`: a transaction goes on after it, and holds what it touches. `apply` tells the world."""

    sql: str
    touches: tuple[TableName, ...] = ()
    apply: Callable[[], None] = _nothing
    keeps: bool = False
    everything: bool = False


Action = Callable[["Turn"], Draft | None]


@dataclass(slots=True)
class Turn:
    world: World
    session: Session
    chance: random.Random

    # -- choosing -----------------------------------------------------------------------------------------------------

    def likely(self, share: float) -> bool:
        return self.chance.random() < share

    def schema(self) -> str | None:
        return self.chance.choice(list(self.world.schemas)) if self.world.schemas else None

    def table(self, wanted: Callable[[Table], bool] = lambda _: True) -> Table | None:
        """One that this session may touch; often the one that was touched last, so that statements meet."""
        focus = self.world.tables.get(self.world.focus) if self.world.focus else None
        if focus is not None and self.likely(_FOCUS_SHARE) and self.may_touch(focus.name) and wanted(focus):
            return focus
        found = [table for table in self.world.tables.values() if self.may_touch(table.name) and wanted(table)]
        return self.chance.choice(found) if found else None

    def alterable(self, wanted: Callable[[Table], bool] = lambda _: True) -> Table | None:
        return self.table(lambda table: self.may_rebuild(table) and wanted(table))

    def may_touch(self, *names: TableName) -> bool:
        return not self.world.held_by_another(self.world.tied(*names), self.session)

    def may_rebuild(self, table: Table) -> bool:
        """Copying its rows meets nothing that this session's settings refuse."""
        if table.temporal and self.session.refuses_zero_dates:
            return False
        return not (table.orphans and self.session.checks_foreign_keys)

    def new_name(self, schema: str | None = None) -> TableName | None:
        schema = schema or self.schema()
        return None if schema is None else TableName(schema, fresh(self.chance, TABLES, self.world.taken(schema)))

    def new_column_name(self, taken: Iterable[str]) -> str:
        lower = {name.lower() for name in taken}
        return fresh(self.chance, COLUMNS, {name for name in COLUMNS if name.lower() in lower})

    def own_name(self, letter: str) -> str:
        """Of an index, a constraint, a trigger: never used twice."""
        return f"{letter}{self.world.next()}{self.chance.choice(('', '`q', ' s', 'ü', '-'))}"

    def type(self) -> Type:
        return self.chance.choice((*types(self.world.flavour), LABELS, LABELS, PLAIN_INT, PLAIN_INT))

    # -- writing ------------------------------------------------------------------------------------------------------

    def q(self, name: str) -> str:
        if "ANSI" in self.session.sql_mode and self.likely(0.5):
            return quoted(name, '"')
        return quoted(name)

    def name(self, name: TableName) -> str:
        if name.schema == self.session.uses and name.schema in self.world.schemas and self.likely(0.5):
            return self.q(name.table)
        return f"{self.q(name.schema)}.{self.q(name.table)}"

    def text(self, text: str) -> str:
        if self.session.backslash_escapes:
            text = text.replace("\\", "\\\\")
        return "'" + text.replace("'", "''") + "'"

    def comma(self, parts: Iterable[str]) -> str:
        return self.chance.choice((", ", ",", " ,\n  ")).join(parts)

    def listed(self, names: Sequence[str]) -> str:
        return ", ".join(self.q(name) for name in names)

    def define(self, column: Column) -> str:
        parts = [self.q(column.name), column.type.sql]
        if not column.nullable:
            parts.append("NOT NULL")
        elif column.type.family == "timestamp" and column.type.sql.endswith("NULL"):
            pass
        elif self.likely(0.3) and column.type.sql != "TIMESTAMP":
            parts.append("NULL")
        if column.default:
            parts.append(f"DEFAULT {column.default}")
        if column.auto:
            parts.append("AUTO_INCREMENT")
        if column.invisible:
            parts.append("INVISIBLE")
        if self.likely(0.1):
            parts.append(f"COMMENT {self.text(self.comment())}")
        return " ".join(parts)

    def comment(self) -> str:
        return self.chance.choice(
            ("", "plain", "it's", "grüße", "semi; colon -- no comment", "/* no */", 'say "x"', "`")
        )

    def value(self, column: Column) -> str:
        """Of a column that INSERT names."""
        if column.serial:
            if column.nullable and self.likely(0.1):
                return "NULL"
            return self.serial(column.type)
        if not column.type.values or (column.nullable and self.likely(0.2)):
            return "NULL" if column.nullable else self.serial(column.type)
        values = column.type.values
        if not self.session.backslash_escapes:
            values = tuple(value for value in values if "\\" not in value)
        if column.default and self.likely(0.1):
            return "DEFAULT"
        return self.chance.choice(values)

    def serial(self, kind: Type) -> str:
        number = self.world.next()
        return f"'k{number}'" if kind.family.startswith("var") else str(number)

    def room(self, table: Table) -> bool:
        return len(table.columns) < _MOST_COLUMNS
