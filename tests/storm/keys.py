"""Indexes, keys and constraints: ALTER TABLE, CREATE INDEX, DROP INDEX."""

from __future__ import annotations

from tests.storm.clauses import algorithm, altered, indexable
from tests.storm.columns import PLAIN_INT
from tests.storm.definitions import check, foreign_key
from tests.storm.tables import is_plain, referable
from tests.storm.turn import Draft, Turn
from tests.storm.world import Column, ForeignKey, Index, Table


def add_index(turn: Turn) -> Draft | None:
    table = turn.alterable(lambda t: len(t.indexes) < 5 and bool(indexable(t)))
    if table is None:
        return None
    columns = turn.chance.sample(indexable(table), min(len(indexable(table)), turn.chance.randint(1, 2)))
    unique = len(columns) == 1 and columns[0].serial and not table.partitions
    index = Index(turn.own_name("k"), tuple(c.name for c in columns), unique)
    listed = ", ".join(turn.q(c.name) + c.type.index for c in columns)
    word = "UNIQUE INDEX" if unique else "INDEX"

    def apply() -> None:
        table.indexes.append(index)

    if turn.likely(0.3):
        text = f"CREATE {word} {turn.q(index.name)} ON {turn.name(table.name)} ({listed})"
        return Draft(text, turn.world.tied(table.name), apply)
    return altered(turn, table, f"ADD {word} {turn.q(index.name)} ({listed}){algorithm(turn, table)}", apply)


def add_fulltext(turn: Turn) -> Draft | None:
    table = turn.alterable(lambda t: not t.partitions and not t.fulltext and bool(_texts(t)))
    if table is None:
        return None
    column = turn.chance.choice(_texts(table))
    if "COMPRESSED" in column.type.sql or "utf16" in column.type.sql:
        return None
    index = Index(turn.own_name("t"), (column.name,), kind="FULLTEXT")

    def apply() -> None:
        table.indexes.append(index)
        table.fulltext = True

    return altered(turn, table, f"ADD FULLTEXT INDEX {turn.q(index.name)} ({turn.q(column.name)})", apply)


def drop_index(turn: Turn) -> Draft | None:
    table = turn.alterable(lambda t: bool(_droppable(t)))
    if table is None:
        return None
    index = turn.chance.choice(_droppable(table))

    def apply() -> None:
        table.indexes.remove(index)

    if turn.likely(0.3):
        text = f"DROP INDEX {turn.q(index.name)} ON {turn.name(table.name)}"
        return Draft(text, turn.world.tied(table.name), apply)
    return altered(turn, table, f"DROP {turn.chance.choice(('INDEX', 'KEY'))} {turn.q(index.name)}", apply)


def rename_index(turn: Turn) -> Draft | None:
    table = turn.alterable(lambda t: bool(t.indexes))
    if table is None:
        return None
    index, new = turn.chance.choice(table.indexes), turn.own_name("r")

    def apply() -> None:
        index.name = new

    return altered(turn, table, f"RENAME INDEX {turn.q(index.name)} TO {turn.q(new)}", apply)


def index_visibility(turn: Turn) -> Draft | None:
    table = turn.alterable(lambda t: any(not index.unique for index in t.indexes))
    if table is None:
        return None
    index = turn.chance.choice([index for index in table.indexes if not index.unique])
    words = ("VISIBLE", "INVISIBLE") if turn.world.flavour == "mysql" else ("NOT IGNORED", "IGNORED")

    def apply() -> None:
        index.visible = not index.visible

    return altered(turn, table, f"ALTER INDEX {turn.q(index.name)} {words[index.visible]}", apply)


def drop_primary_key(turn: Turn) -> Draft | None:
    """Sometimes with another one in its place."""
    table = turn.alterable(lambda t: bool(t.key) and _key_is_free(turn, t))
    if table is None:
        return None
    serials = [c for c in table.columns if c.serial and not c.nullable and not c.generated and not c.auto]
    new = turn.chance.choice(serials) if serials and turn.likely(0.6) else None
    clause = "DROP PRIMARY KEY" + (f", ADD PRIMARY KEY ({turn.q(new.name)})" if new else "")

    def apply() -> None:
        table.key = (new.name,) if new else ()

    return altered(turn, table, clause, apply)


def add_primary_key(turn: Turn) -> Draft | None:
    table = turn.alterable(lambda t: not t.key and any(c.serial and not c.nullable for c in t.columns))
    if table is None:
        return None
    column = turn.chance.choice([c for c in table.columns if c.serial and not c.nullable])

    def apply() -> None:
        table.key = (column.name,)

    return altered(turn, table, f"ADD PRIMARY KEY ({turn.q(column.name)})", apply)


def add_foreign_key(turn: Turn) -> Draft | None:
    """On a column of its own, which is added with it, or by a session that does not check."""
    table = turn.alterable(lambda t: turn.room(t) and not t.partitions and len(t.foreign_keys) < 2)
    parent = turn.table(referable)
    if table is None or parent is None or not turn.may_touch(table.name, parent.name) or table.fulltext:
        return None
    column = Column(turn.new_column_name(table.column_names), parent.column(parent.key[0]).type, pins=1)
    key = ForeignKey(turn.own_name("f"), column.name, parent.name, parent.key[0], turn.likely(0.5))

    def apply() -> None:
        table.columns.append(column)
        table.foreign_keys.append(key)

    clause = f"ADD COLUMN {turn.q(column.name)} {column.type.sql}, ADD {foreign_key(turn, key)}"
    draft = altered(turn, table, clause, apply)
    return Draft(draft.sql, turn.world.tied(table.name, parent.name), apply)


def drop_foreign_key(turn: Turn) -> Draft | None:
    table = turn.alterable(lambda t: bool(t.foreign_keys))
    if table is None:
        return None
    key = turn.chance.choice(table.foreign_keys)

    def apply() -> None:
        table.foreign_keys.remove(key)

    return altered(turn, table, f"DROP FOREIGN KEY {turn.q(key.name)}", apply)


def add_check(turn: Turn) -> Draft | None:
    table = turn.alterable(lambda t: bool(_numbers(t)) and is_plain(t.name))
    if table is None:
        return None
    column, name = turn.chance.choice(_numbers(table)), turn.own_name("c")

    def apply() -> None:
        table.checks[name] = column.name
        column.pins += 1

    return altered(turn, table, f"ADD CONSTRAINT {turn.q(name)} {check(turn, column.name)}", apply)


def drop_check(turn: Turn) -> Draft | None:
    table = turn.alterable(lambda t: bool(t.checks))
    if table is None:
        return None
    name = turn.chance.choice(list(table.checks))

    def apply() -> None:
        table.column(table.checks.pop(name)).pins -= 1

    word = "CHECK" if turn.world.flavour == "mysql" and turn.likely(0.5) else "CONSTRAINT"
    return altered(turn, table, f"DROP {word} {turn.q(name)}", apply)


# -- parts -------------------------------------------------------------------------------------------------------------


def _texts(table: Table) -> list[Column]:
    return [c for c in table.columns if c.type.family in ("varchar", "text") and c.written and not c.serial]


def _numbers(table: Table) -> list[Column]:
    return [c for c in table.columns if c.type == PLAIN_INT and c.written and not c.pins]


def _droppable(table: Table) -> list[Index]:
    """AUTO_INCREMENT needs its index."""
    return [index for index in table.indexes if not any(table.column(c).auto for c in index.columns)]


def _key_is_free(turn: Turn, table: Table) -> bool:
    fixed = any(table.column(name).auto for name in table.key) or table.partitions is not None
    return not fixed and not turn.world.children(table.name)
