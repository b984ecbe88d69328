"""Sequences of statements that belong together: what migrations do, and DDLs that follow one another closely.

A pattern is a generator of actions for one session; what it sees when it goes on is the world with the former action
applied. It ends early where the world has changed under it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.storm import alters, partitions, rows, tables
from tests.storm.turn import Action, Draft, Turn
from tests.storm.world import Table

Pattern = Callable[[Turn], Iterator[Action]]


def quick(turn: Turn) -> Iterator[Action]:
    """CREATE, INSERT, and at once another DDL of the same table."""
    yield turn.chance.choice((tables.create, tables.create_keyless, tables.create_child, tables.create_partitioned))
    yield rows.insert
    yield turn.chance.choice((tables.truncate, tables.rename, alters.add_column, tables.drop, tables.truncate))
    yield rows.insert
    yield turn.chance.choice((tables.truncate, tables.rename, alters.drop_column, tables.create_like, rows.update))
    yield rows.insert


def recreate(turn: Turn) -> Iterator[Action]:
    """A name comes back with other columns."""
    yield rows.insert
    yield tables.drop
    yield tables.create
    yield rows.insert
    yield tables.rename
    yield tables.create_keyless
    yield rows.insert


def shadow(turn: Turn) -> Iterator[Action]:
    """gh-ost and pt-osc: a copy that is altered, filled and swapped in; the former one is dropped."""
    table = turn.table(lambda t: tables.renamable(turn, t) and not turn.world.triggers_of(t.name) and not t.checks)
    name = turn.new_name(table.name.schema) if table is not None else None
    aside = turn.new_name(table.name.schema) if table is not None else None
    if table is None or name is None or aside is None or aside == name or turn.world.children(table.name):
        return
    if not (tables.fits(table, name) and tables.fits(table, aside)):
        return
    old = table.name
    copy = tables.like(turn, table, name)

    def make(at: Turn) -> Draft | None:
        if at.world.tables.get(old) is not table or name.table in at.world.taken(name.schema) or not at.may_touch(old):
            return None

        def apply() -> None:
            at.world.tables[name] = copy
            at.world.focus = name

        return Draft(f"CREATE TABLE {at.name(name)} LIKE {at.name(old)}", (name, *at.world.tied(old)), apply)

    yield make
    yield alters.add_column
    yield alters.modify_column

    def fill(at: Turn) -> Draft | None:
        return _copied(at, table, copy)

    yield fill
    yield rows.insert

    def swap(at: Turn) -> Draft | None:
        if (
            at.world.tables.get(old) is not table
            or at.world.tables.get(name) is not copy
            or not at.may_touch(old, name)
        ):
            return None
        if aside.table in at.world.taken(aside.schema) or not (
            tables.renamable(at, table) and tables.renamable(at, copy)
        ):
            return None
        if at.world.children(old) or at.world.children(name):
            return None
        text = f"RENAME TABLE {at.name(old)} TO {at.name(aside)}, {at.name(name)} TO {at.name(old)}"

        def apply() -> None:
            at.world.rename({old: aside, name: old})

        return Draft(text, (*at.world.tied(old, name), aside), apply)

    yield swap
    yield rows.insert
    yield tables.drop


def exchange(turn: Turn) -> Iterator[Action]:
    table = turn.alterable(lambda t: t.partitions is not None and bool(t.partitions.names))
    if table is None or table.name not in turn.world.tables:
        return
    made: list[Table] = []

    def make(at: Turn) -> Draft | None:
        if at.world.tables.get(table.name) is not table or not at.may_touch(table.name):
            return None
        found = partitions.create_for_exchange(at, table)
        if found is None:
            return None
        made.append(found[1])
        return found[0]

    def strip(at: Turn) -> Draft | None:
        if not made or at.world.tables.get(made[0].name) is not made[0] or not at.may_touch(made[0].name):
            return None
        return partitions.strip(at, made[0])

    def swap(at: Turn) -> Draft | None:
        if not made or any(at.world.tables.get(t.name) is not t for t in (table, made[0])):
            return None
        if not at.may_touch(table.name, made[0].name) or not partitions.same(table, made[0]):
            return None
        return partitions.exchange(at, table, made[0])

    yield rows.insert
    yield make
    yield strip
    yield swap
    yield rows.insert


def _copied(turn: Turn, source: Table, copy: Table) -> Draft | None:
    """Columns that both still have, of one type; serial ones too: the copy has none of them yet."""
    world = turn.world
    if world.tables.get(source.name) is not source or world.tables.get(copy.name) is not copy or copy.filled:
        return None
    if not turn.may_touch(source.name, copy.name):
        return None
    kinds = {c.name: c.type.sql for c in source.columns if c.written}
    columns = [c.name for c in copy.columns if c.written and kinds.get(c.name) == c.type.sql]
    if not columns:
        return None
    listed = turn.listed(columns)
    text = f"INSERT IGNORE INTO {turn.name(copy.name)} ({listed}) SELECT {listed} FROM {turn.name(source.name)}"

    def apply() -> None:
        copy.filled = True

    return Draft(text, world.tied(source.name, copy.name), apply, keeps=True)


PATTERNS: tuple[Pattern, ...] = (quick, quick, recreate, shadow, exchange)
