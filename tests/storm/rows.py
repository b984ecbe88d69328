"""DML. With IGNORE where values, parents or children could stand against it: its outcome never depends on rows."""

from __future__ import annotations

from typing import Final

from tests.storm.turn import Draft, Turn
from tests.storm.world import Column, Table

_MOST_ROWS: Final = 6


def insert(turn: Turn) -> Draft | None:
    table = turn.table(_writable)
    if table is None:
        return None
    columns = [c for c in table.columns if c.written]
    rows = [_row(turn, table, columns) for _ in range(turn.chance.randint(1, _MOST_ROWS))]
    return _changed(turn, table, f"{_into(turn, table, columns)} VALUES {turn.comma(rows)}")


def insert_duplicates(turn: Turn) -> Draft | None:
    """Equal rows in a table without a key."""
    table = turn.table(lambda t: _writable(t) and not t.key and not any(c.serial for c in t.columns))
    if table is None:
        return None
    columns = [c for c in table.columns if c.written]
    row = _row(turn, table, columns)
    rows = ", ".join([row] * turn.chance.randint(2, 4))
    return _changed(turn, table, f"{_into(turn, table, columns)} VALUES {rows}")


def insert_select(turn: Turn) -> Draft | None:
    """From another table, or from itself, columns of the same type; serial ones stay NULL."""
    takes = lambda t: _writable(t) and all(c.nullable or c.auto or c.generated for c in t.columns)  # noqa: E731
    table = turn.table(takes)
    source = turn.table()
    if table is None or source is None or not turn.may_touch(table.name, source.name):
        return None
    pairs = [
        (c, other)
        for c in table.columns
        if c.written and not c.serial and not c.pins
        for other in source.columns
        if other.type.sql == c.type.sql
    ]
    if not pairs:
        return None
    one, other = turn.chance.choice(pairs)
    text = (
        f"INSERT IGNORE INTO {turn.name(table.name)} ({turn.q(one.name)})"
        f" SELECT {turn.q(other.name)} FROM {turn.name(source.name)} LIMIT 5"
    )
    draft = _changed(turn, table, text)
    return Draft(draft.sql, turn.world.tied(table.name, source.name), draft.apply, keeps=True)


def upsert(turn: Turn) -> Draft | None:
    """Twice the same new key, so that it inserts and then updates or replaces."""
    table = turn.table(lambda t: len(t.key) == 1 and not t.foreign_keys and not t.column(t.key[0]).auto)
    if table is None or turn.world.children(table.name):
        return None
    key = table.column(table.key[0])
    others = [c for c in table.columns if c.written and c is not key and not c.serial and not c.pins]
    if not others or any(not c.nullable and c not in others and c is not key for c in table.columns if c.written):
        return None
    number = turn.serial(key.type)
    columns = turn.listed([key.name, *(c.name for c in others)])
    rows = [f"({', '.join([number, *(turn.value(c) for c in others)])})" for _ in range(2)]
    if turn.likely(0.5):
        return _changed(turn, table, f"REPLACE INTO {turn.name(table.name)} ({columns}) VALUES {', '.join(rows)}")
    name = turn.q(others[0].name)
    text = f"INSERT INTO {turn.name(table.name)} ({columns}) VALUES {', '.join(rows)} ON DUPLICATE KEY UPDATE {name} = "
    return _changed(turn, table, text + f"VALUES({name})")


def update(turn: Turn) -> Draft | None:
    table = turn.table(lambda t: _writable(t) and any(_settable(c) for c in t.columns))
    if table is None:
        return None
    columns = [c for c in table.columns if _settable(c)]
    chosen = turn.chance.sample(columns, turn.chance.randint(1, min(3, len(columns))))
    sets = turn.comma(f"{turn.q(c.name)} = {turn.value(c)}" for c in chosen)
    return _changed(turn, table, f"UPDATE IGNORE {turn.name(table.name)} SET {sets}{_where(turn, table)}")


def update_key(turn: Turn) -> Draft | None:
    """A row gets another key: one that was never used."""
    table = turn.table(lambda t: _writable(t) and any(c.serial and not c.auto for c in t.columns))
    if table is None:
        return None
    column = turn.chance.choice([c for c in table.columns if c.serial and not c.auto])
    value = turn.serial(column.type)
    where = f" WHERE {turn.q(column.name)} IS NOT NULL" if turn.likely(0.5) else ""
    return _changed(
        turn, table, f"UPDATE IGNORE {turn.name(table.name)} SET {turn.q(column.name)} = {value}{where} LIMIT 1"
    )


def delete(turn: Turn) -> Draft | None:
    table = turn.table(_writable)
    if table is None:
        return None
    return _changed(turn, table, f"DELETE IGNORE FROM {turn.name(table.name)}{_where(turn, table)}")


def delete_all(turn: Turn) -> Draft | None:
    table = turn.table(_writable)
    return None if table is None else _changed(turn, table, f"DELETE IGNORE FROM {turn.name(table.name)}")


def change_two(turn: Turn) -> Draft | None:
    """One statement that deletes from two tables."""
    table, other = turn.table(_writable), turn.table(_writable)
    if table is None or other is None or table is other or not turn.may_touch(table.name, other.name):
        return None
    a, b = (f"{turn.q(name.schema)}.{turn.q(name.table)}" for name in (table.name, other.name))
    draft = _changed(turn, table, f"DELETE IGNORE {a}, {b} FROM {a} JOIN {b} ON 1 = 1 WHERE RAND() < 0.3")
    return Draft(draft.sql, turn.world.tied(table.name, other.name), draft.apply, keeps=True)


def through_view(turn: Turn) -> Draft | None:
    found = [
        view
        for view in turn.world.views.values()
        if view.valid and view.base in turn.world.tables and turn.may_touch(view.base) and turn.may_touch(view.name)
    ]
    if not found:
        return None
    view = turn.chance.choice(found)
    table = turn.world.tables[view.base]
    draft = _changed(turn, table, f"DELETE IGNORE FROM {turn.name(view.name)} LIMIT 2")
    return Draft(draft.sql, (*draft.touches, view.name), draft.apply, keeps=True)


# -- parts -------------------------------------------------------------------------------------------------------------


def _into(turn: Turn, table: Table, columns: list[Column]) -> str:
    return f"INSERT IGNORE INTO {turn.name(table.name)} ({turn.listed([c.name for c in columns])})"


def _writable(table: Table) -> bool:
    return any(c.written for c in table.columns)


def _settable(column: Column) -> bool:
    return column.written and not column.serial and bool(column.type.values)


def _row(turn: Turn, table: Table, columns: list[Column]) -> str:
    parents = {key.column: key for key in table.foreign_keys}
    values = []
    for column in columns:
        key = parents.get(column.name)
        if key is None:
            values.append(turn.value(column))
        elif key.parent == table.name or turn.likely(0.3):
            values.append("NULL")
        else:
            parent = f"{turn.q(key.parent.schema)}.{turn.q(key.parent.table)}"
            least = turn.chance.choice(("MIN", "MAX"))
            values.append(f"(SELECT {least}({turn.q(key.refers)}) FROM {parent})")
    return f"({', '.join(values)})"


def _where(turn: Turn, table: Table) -> str:
    nullable = [c for c in table.columns if c.nullable]
    if nullable and turn.likely(0.3):
        return f" WHERE {turn.q(turn.chance.choice(nullable).name)} IS {turn.chance.choice(('NULL', 'NOT NULL'))}"
    numbers = [c for c in table.columns if c.type.whole_number]
    if numbers and turn.likely(0.5):
        return f" WHERE {turn.q(turn.chance.choice(numbers).name)} % 3 = {turn.chance.randint(0, 2)}"
    return f" LIMIT {turn.chance.randint(1, 5)}"


def _changed(turn: Turn, table: Table, text: str) -> Draft:
    def apply() -> None:
        table.filled = True
        turn.world.focus = table.name
        if not turn.session.checks_foreign_keys:
            table.orphans = table.orphans or bool(table.foreign_keys)
            for child, _ in turn.world.children(table.name):
                child.orphans = True

    return Draft(text, turn.world.tied(table.name), apply, keeps=True)
