"""ALTER TABLE statements, of whatever clause."""

from __future__ import annotations

from collections.abc import Callable

from tests.storm.turn import Draft, Turn
from tests.storm.world import Column, Table


def altered(turn: Turn, table: Table, clause: str, apply: Callable[[], None] = lambda: None) -> Draft:
    def applied() -> None:
        apply()
        table.altered = True

    return alter(turn, table, clause, applied)


def alter(turn: Turn, table: Table, clause: str, apply: Callable[[], None] = lambda: None) -> Draft:
    words = turn.chance.choice(("ALTER TABLE", "ALTER TABLE", "alter table", "/* storm */ ALTER TABLE"))
    if turn.world.flavour == "mariadb":
        words = turn.chance.choice((words, words, "ALTER ONLINE TABLE" if "FORCE" in clause else words))

    def applied() -> None:
        apply()
        turn.world.focus = table.name

    return Draft(f"{words} {turn.name(table.name)} {clause}", turn.world.tied(table.name), applied)


def algorithm(turn: Turn, table: Table, *, copy_only: bool = False) -> str:
    if table.fulltext or turn.likely(0.7):
        return ""
    return turn.chance.choice((", ALGORITHM=COPY", ", ALGORITHM=DEFAULT" if copy_only else ", ALGORITHM=INPLACE"))


def indexable(table: Table) -> list[Column]:
    return [c for c in table.columns if c.type.index != "-" and not c.generated and not c.pins]
