"""CREATE, DROP, RENAME and TRUNCATE TABLE."""

from __future__ import annotations

import copy
import itertools
from typing import Final

from hedgerow.common.mysql.names import TableName
from tests.storm.columns import LABELS, PLAIN_INT, SERIALS
from tests.storm.definitions import generated, head
from tests.storm.turn import Draft, Turn
from tests.storm.world import Column, ForeignKey, Index, Partitions, Table

MOST_TABLES: Final = 12
_LONG: Final = 50  # characters
_RENAMES: Final = 4


def create(turn: Turn) -> Draft | None:
    """With a key of one of several kinds, or with none."""
    name = _new(turn)
    if name is None:
        return None
    chance = turn.chance
    columns: list[Column] = []
    key: tuple[str, ...] = ()
    kind = chance.choice(("auto", "serial", "serial", "composite", "none"))
    if kind != "none":
        first = Column("id", chance.choice(SERIALS), nullable=False, serial=True)
        if kind == "auto":
            first = Column("id", chance.choice(SERIALS[:3]), nullable=False, auto=True, serial=True)
        columns.append(first)
        key = ("id",)
        if kind == "composite":
            columns.append(Column("part", PLAIN_INT, nullable=False))
            key = ("part", "id") if turn.likely(0.5) else ("id", "part")
    table = Table(name, columns, key)
    for _ in range(chance.randint(1, 6)):
        columns.append(new_column(turn, table))
    _generate(turn, table)
    _index(turn, table)
    return _created(turn, table)


def create_keyless(turn: Turn) -> Draft | None:
    name = _new(turn)
    if name is None:
        return None
    table = Table(name, [])
    for _ in range(turn.chance.randint(1, 4)):
        table.columns.append(new_column(turn, table))
    return _created(turn, table)


def create_partitioned(turn: Turn) -> Draft | None:
    name = _new(turn)
    if name is None or not is_plain(name):
        return None
    table = Table(name, [Column("id", turn.chance.choice(SERIALS[:2]), nullable=False, serial=True)], ("id",))
    table.columns[0].pins += 1
    for _ in range(turn.chance.randint(1, 4)):
        table.columns.append(new_column(turn, table))
    if any(column.type.family in ("geometry", "point") for column in table.columns):
        return None  # not allowed in a partitioned table
    method = turn.chance.choice(("RANGE", "RANGE", "HASH", "KEY"))
    table.partitions = Partitions(method, "id")
    if method == "RANGE":
        start = turn.world.counter
        table.partitions.bounds = [start + step for step in (10, 40)]
        table.partitions.names = ["p0", "p1", "pmax"]
    else:
        table.partitions.number = turn.chance.randint(1, 4)
    return _created(turn, table)


def create_child(turn: Turn) -> Draft | None:
    """With a foreign key to a table that is there, or to itself."""
    name = _new(turn)
    parent = turn.table(lambda table: referable(table))
    if name is None or parent is None:
        return None
    table = Table(name, [Column("id", SERIALS[0], nullable=False, serial=True)], ("id",))
    own = turn.likely(0.15)
    referred = table if own else parent
    kind = referred.column(referred.key[0]).type
    table.columns.append(Column("parent", kind, pins=1))
    table.columns.append(new_column(turn, table))
    cascades = turn.likely(0.6)
    table.foreign_keys = [ForeignKey(turn.own_name("f"), "parent", referred.name, referred.key[0], cascades)]
    return _created(turn, table, parent.name)


def create_like(turn: Turn) -> Draft | None:
    name = _new(turn)
    model = turn.table(lambda table: name is not None and fits(table, name))
    if name is None or model is None:
        return None
    table = like(turn, model, name)
    text = f"CREATE TABLE {turn.name(name)} LIKE {turn.name(model.name)}"
    if turn.likely(0.2):
        text = f"CREATE TABLE {turn.name(name)} (LIKE {turn.name(model.name)})"
    return Draft(text, (name, *turn.world.tied(model.name)), lambda: _add(turn, table))


def create_select(turn: Turn) -> Draft | None:
    """Its rows travel as rows, after the table."""
    name = _new(turn)
    model = turn.table(lambda table: any(_selectable(turn, c) for c in table.columns))
    if name is None or model is None or (turn.session.refuses_zero_dates and model.temporal):
        return None
    copied = [c for c in model.columns if _selectable(turn, c)][:6]
    columns = [Column(c.name, c.type, c.nullable, c.serial) for c in copied]
    serials = [c for c in columns if c.serial and not c.nullable]
    key = (serials[0].name,) if serials and turn.likely(0.6) else ()
    table = Table(name, columns, key, filled=True)
    ordinary = turn.listed([c.name for c in columns])
    text = f"{head(turn, table)} SELECT {ordinary} FROM {turn.name(model.name)}"
    if turn.likely(0.2):
        text += " LIMIT 3" if key else " WHERE 1 = 0"
    return Draft(text, (name, *turn.world.tied(model.name)), lambda: _add(turn, table))


def create_existing(turn: Turn) -> Draft | None:
    """IF NOT EXISTS of one that is there: nothing happens, but it is logged."""
    table = turn.table()
    if table is None:
        return None
    return Draft(f"CREATE TABLE IF NOT EXISTS {turn.name(table.name)} (nothing INT)", turn.world.tied(table.name))


def create_or_replace(turn: Turn) -> Draft | None:
    """MariaDB."""
    old = turn.table(lambda table: _droppable(turn, table))
    if old is None or turn.world.flavour != "mariadb":
        return None
    columns = [Column("id", SERIALS[1], nullable=False, serial=True), Column("v", LABELS)]
    table = Table(old.name, columns, ("id",))

    def apply() -> None:
        turn.world.forget(old.name)
        _add(turn, table)

    return Draft(head(turn, table, "CREATE OR REPLACE TABLE"), turn.world.tied(old.name), apply)


def drop(turn: Turn) -> Draft | None:
    table = turn.table(lambda table: _droppable(turn, table))
    if table is None or (len(turn.world.tables) < 4 and turn.likely(0.8)):
        return None
    return _dropped(turn, [table])


def drop_several(turn: Turn) -> Draft | None:
    """Children before parents; some with names that are not there."""
    found = [t for t in turn.world.tables.values() if turn.may_touch(t.name) and not turn.world.targeted(t.name)]
    turn.chance.shuffle(found)
    chosen = found[: turn.chance.randint(2, 3)]
    names = {table.name for table in chosen}
    if any(child.name not in names for t in chosen for child, _ in turn.world.children(t.name)):
        return None
    ordered = sorted(chosen, key=lambda t: any(fk.parent in names - {t.name} for fk in t.foreign_keys), reverse=True)
    cycles = any(fk.parent in {t.name for t in ordered[:n]} for n, t in enumerate(ordered) for fk in t.foreign_keys)
    if len(chosen) < 2 or len(turn.world.tables) < 7 or cycles:
        return None
    return _dropped(turn, ordered)


def drop_absent(turn: Turn) -> Draft | None:
    schema = turn.schema()
    if schema is None or not turn.world.tables:
        return None
    absent = turn.new_name(schema)
    assert absent is not None
    return Draft(f"DROP TABLE IF EXISTS {turn.name(absent)}", (absent,))


def rename(turn: Turn) -> Draft | None:
    """To a new name, sometimes in another schema, where triggers cannot follow."""
    table = turn.table(lambda table: renamable(turn, table))
    if table is None:
        return None
    others = [schema for schema in turn.world.schemas if schema != table.name.schema]
    moves = turn.likely(0.25) and others and not turn.world.triggers_of(table.name)
    name = turn.new_name(turn.chance.choice(others) if moves else table.name.schema)
    if name is None or not fits(table, name):
        return None
    return _renamed(turn, [(table.name, name)], turn.likely(0.25))


def rename_swap(turn: Turn) -> Draft | None:
    """As pt-osc and gh-ost end: the table steps aside for another, in one statement."""
    return _cycle(turn, 2)


def rename_cycle(turn: Turn) -> Draft | None:
    return _cycle(turn, turn.chance.randint(3, _RENAMES))


def truncate(turn: Turn) -> Draft | None:
    table = turn.table(lambda t: not turn.world.children(t.name) or not turn.session.checks_foreign_keys)
    if table is None:
        return None

    def apply() -> None:
        table.filled = False
        for child, _ in turn.world.children(table.name):
            child.orphans = True
        turn.world.focus = table.name

    word = turn.chance.choice(("TRUNCATE TABLE", "TRUNCATE", "truncate table"))
    return Draft(f"{word} {turn.name(table.name)}", turn.world.tied(table.name), apply)


# -- shared with other modules -----------------------------------------------------------------------------------------


def new_column(turn: Turn, table: Table, *, with_rows: bool = False) -> Column:
    """`with_rows`: it is added to rows that are there, so that NOT NULL needs a default."""
    kind = turn.type()
    while turn.session.refuses_zero_dates and kind.temporal:
        kind = turn.type()
    column = Column(turn.new_column_name(table.column_names | {"id", "part", "parent"}), kind)
    if not with_rows and table.key and turn.likely(0.15):
        column.type, column.serial = turn.chance.choice(SERIALS), True
    elif kind.default and turn.likely(0.4):
        column.default = kind.default
        column.nullable = turn.likely(0.5)
    elif not with_rows and not kind.sql.endswith("NULL") and kind.family not in ("timestamp", "json", "geometry"):
        column.nullable = turn.likely(0.7)
    return column


def referable(table: Table) -> bool:
    """Has a key of one whole number, as foreign keys need it."""
    if len(table.key) != 1 or table.partitions is not None:
        return False
    return table.column(table.key[0]).type.whole_number


def fits(table: Table, name: TableName) -> bool:
    return is_plain(name) or not table.needs_plain_name


def is_plain(name: TableName) -> bool:
    """Servers can make longer names of it. MariaDB 10.11 loses its way at a slash in the names of partitions' files."""
    return len(name.table) <= _LONG and "/" not in name.table


def renamable(turn: Turn, table: Table) -> bool:
    """Triggers of others name their target: it stays."""
    return not turn.world.targeted(table.name)


def like(turn: Turn, model: Table, name: TableName) -> Table:
    """Foreign keys and triggers are not copied (their columns stay pinned, though free by now), but the index that a
    foreign key made is. Names of checks are MySQL's own."""
    table = copy.deepcopy(model)
    table.name, table.foreign_keys, table.filled, table.orphans, table.altered = name, [], False, False, False
    table.instants = 0
    if turn.world.flavour == "mysql":
        table.served_checks += len(table.checks)
        table.checks = {}
    return table


# -- parts -------------------------------------------------------------------------------------------------------------


def _new(turn: Turn) -> TableName | None:
    return turn.new_name() if len(turn.world.tables) < MOST_TABLES else None


def _add(turn: Turn, table: Table) -> None:
    turn.world.tables[table.name] = table
    turn.world.focus = table.name


def _created(turn: Turn, table: Table, *others: TableName) -> Draft:
    words = turn.chance.choice(("CREATE TABLE", "CREATE TABLE IF NOT EXISTS", "create  table"))
    touches = (table.name, *turn.world.tied(*others))
    return Draft(head(turn, table, words), touches, lambda: _add(turn, table))


def _generate(turn: Turn, table: Table) -> None:
    """Sometimes a column that is computed from another."""
    numbers = [c for c in table.columns if c.type.whole_number and c.written]
    if numbers and turn.likely(0.25):
        table.columns.append(generated(turn, table, turn.chance.choice(numbers)))


def _index(turn: Turn, table: Table) -> None:
    free = [c for c in table.columns if c.type.index != "-" and c.name not in table.key and not c.generated]
    for column in free:
        if turn.likely(0.2):
            unique = column.serial and turn.likely(0.7)
            if not unique or not column.type.index or column.type in SERIALS:
                table.indexes.append(Index(turn.own_name("k"), (column.name,), unique))


def _selectable(turn: Turn, column: Column) -> bool:
    """MySQL logs the columns of CREATE TABLE … SELECT with their character sets written out, and then shows them so."""
    worded = turn.world.flavour == "mysql" and column.type.is_text and not column.type.charset
    return column.written and column.type.sql != "TIMESTAMP" and not worded


def _droppable(turn: Turn, table: Table) -> bool:
    others = [child for child, _ in turn.world.children(table.name) if child is not table]
    return not others and not turn.world.targeted(table.name)


def _dropped(turn: Turn, tables: list[Table]) -> Draft:
    names = [table.name for table in tables]
    shown = [turn.name(name) for name in names]
    absent: list[TableName] = []
    words = turn.chance.choice(("DROP TABLE", "drop table", "DROP TABLE IF EXISTS"))
    if words.endswith("EXISTS") and turn.likely(0.3) and (other := turn.new_name()) is not None:
        absent.append(other)
        shown.insert(turn.chance.randint(0, len(shown)), turn.name(other))

    def apply() -> None:
        for name in names:
            turn.world.forget(name)

    return Draft(f"{words} {', '.join(shown)}", (*turn.world.tied(*names), *absent), apply)


def _renamed(turn: Turn, pairs: list[tuple[TableName, TableName]], by_alter: bool = False) -> Draft:
    """`pairs` may use a name again, from left to right."""
    final: dict[TableName, TableName] = {}
    now: dict[TableName, TableName] = {}
    for old, new in pairs:
        first = now.pop(old, old)
        now[new] = first
        final[first] = new
    touches = (*turn.world.tied(*final), *(name for pair in pairs for name in pair))
    if by_alter:
        word = turn.chance.choice(("RENAME TO", "RENAME", "RENAME AS"))
        text = f"ALTER TABLE {turn.name(pairs[0][0])} {word} {turn.name(pairs[0][1])}"
    else:
        text = "RENAME TABLE " + ", ".join(f"{turn.name(old)} TO {turn.name(new)}" for old, new in pairs)
    changed = {old: new for old, new in final.items() if old != new}
    return Draft(text, tuple(dict.fromkeys(touches)), lambda: turn.world.rename(changed))


def _cycle(turn: Turn, size: int) -> Draft | None:
    """a to aside, b to a, c to b, aside to c. Within one schema, where triggers may come along."""
    schema = turn.schema()
    found = [
        t.name
        for t in turn.world.tables.values()
        if t.name.schema == schema and turn.may_touch(t.name) and renamable(turn, t)
    ]
    if len(found) < size or schema is None:
        return None
    names = turn.chance.sample(found, size)
    aside = turn.new_name(schema)
    if aside is None or not all(fits(turn.world.tables[name], other) for name in names for other in (*names, aside)):
        return None
    pairs = [(names[0], aside), *((b, a) for a, b in itertools.pairwise(names)), (aside, names[-1])]
    return _renamed(turn, pairs)
