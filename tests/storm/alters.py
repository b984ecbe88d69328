"""ALTER TABLE of columns and of the table itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.storm.clauses import algorithm, altered, indexable
from tests.storm.columns import LABELS, PLAIN_INT, SERIALS
from tests.storm.definitions import generated
from tests.storm.tables import new_column
from tests.storm.turn import Draft, Turn
from tests.storm.world import Column, Index, Table

_MOST_INSTANTS: Final = 20  # MySQL allows 64 row versions; what the sink does not do (OPTIMIZE) must not matter
_COLLATIONS: Final = ("utf8mb4_bin", "utf8mb4_general_ci", "utf8mb4_unicode_ci")
_SPATIAL: Final = ("geometry", "point")


def add_column(turn: Turn) -> Draft | None:
    table = turn.alterable(turn.room)
    if table is None:
        return None
    column = new_column(turn, table, with_rows=True)
    if table.partitions and column.type.family in _SPATIAL:
        return None
    place, at = "", len(table.columns)
    if turn.likely(0.2):
        place, at = " FIRST", 0
    elif turn.likely(0.3):
        at = turn.chance.randint(1, len(table.columns))
        place = f" AFTER {turn.q(table.columns[at - 1].name)}"
    clause = f"ADD {turn.chance.choice(('COLUMN ', ''))}{turn.define(column)}{place}"

    def apply() -> None:
        table.columns.insert(at, column)

    return altered(turn, table, clause + algorithm(turn, table, copy_only=True), apply)


def add_column_instantly(turn: Turn) -> Draft | None:
    table = turn.alterable(lambda t: turn.room(t) and not t.fulltext and t.instants < _MOST_INSTANTS)
    if table is None:
        return None
    column = Column(turn.new_column_name(table.column_names), PLAIN_INT, default=turn.chance.choice(("", "5")))

    def apply() -> None:
        table.columns.append(column)
        table.instants += 1

    return altered(turn, table, f"ADD COLUMN {turn.define(column)}, ALGORITHM=INSTANT", apply)


def add_columns(turn: Turn) -> Draft | None:
    table = turn.alterable(lambda t: turn.room(t) and len(t.columns) < 9)
    if table is None:
        return None
    first = Column(turn.new_column_name(table.column_names), PLAIN_INT)
    second = Column(turn.new_column_name(table.column_names | {first.name}), LABELS)

    def apply() -> None:
        table.columns += [first, second]

    return altered(turn, table, f"ADD COLUMN ({turn.define(first)}, {turn.define(second)})", apply)


def add_generated(turn: Turn) -> Draft | None:
    table = turn.alterable(lambda t: turn.room(t) and bool(_computable(t)))
    if table is None:
        return None
    base = turn.chance.choice(_computable(table))
    column = generated(turn, table, base)
    base.pins -= 1  # not before it is there

    def apply() -> None:
        table.columns.append(column)
        base.pins += 1

    return altered(turn, table, f"ADD COLUMN {turn.q(column.name)} {column.type.sql} {column.default}", apply)


def add_numbered(turn: Turn) -> Draft | None:
    """AUTO_INCREMENT for rows that have a key, and so an order."""
    table = turn.alterable(lambda t: bool(t.key) and turn.room(t) and not t.partitions and not _auto(t))
    if table is None:
        return None
    column = Column(turn.new_column_name(table.column_names), SERIALS[1], nullable=False, serial=True, auto=True)
    index = Index(turn.own_name("n"), (column.name,), unique=True)

    def apply() -> None:
        table.columns.append(column)
        table.indexes.append(index)

    clause = f"ADD COLUMN {turn.define(column)}, ADD UNIQUE KEY {turn.q(index.name)} ({turn.q(column.name)})"
    return altered(turn, table, clause, apply)


def drop_column(turn: Turn) -> Draft | None:
    table, column = _free(turn, lambda t: _visible(t) > 2)
    if table is None or column is None:
        return None

    def apply() -> None:
        table.columns.remove(column)
        turn.world.invalidate(table.name)

    return altered(turn, table, f"DROP COLUMN {turn.q(column.name)}", apply)


def modify_column(turn: Turn) -> Draft | None:
    """Widened under any sql_mode; under a lenient one, any plain type to any other, with what that does to values."""
    table, column = _free(turn, lambda _: True, lambda c: c.type.plain and not c.serial and not c.generated)
    if table is None or column is None:
        return None
    kinds = [turn.type() for _ in range(20)]
    kinds = [k for k in kinds if column.type.widens_to(k) or (not turn.session.strict and k.plain)]
    if not kinds or (turn.session.refuses_zero_dates and any(k.temporal for k in kinds)):
        return None
    other = Column(column.name, kinds[0], column.nullable or kinds[0].sql.endswith("NULL"), invisible=column.invisible)
    if kinds[0].sql == "TIMESTAMP":
        other.nullable = True

    def apply() -> None:
        column.type, column.default, column.nullable = other.type, "", other.nullable

    return altered(turn, table, f"MODIFY {turn.chance.choice(('COLUMN ', ''))}{turn.define(other)}", apply)


def change_column(turn: Turn) -> Draft | None:
    """To another name, by CHANGE or by RENAME COLUMN."""
    table, column = _free(turn, lambda _: True, lambda c: not c.generated)
    if table is None or column is None:
        return None
    old, new = column.name, turn.new_column_name(table.column_names)
    if turn.likely(0.5) or column.type.sql == "TIMESTAMP":
        clause = f"RENAME COLUMN {turn.q(old)} TO {turn.q(new)}"
    else:
        column.name = new
        clause = f"CHANGE COLUMN {turn.q(old)} {turn.define(column)}"
        column.name = old

    def apply() -> None:
        column.name = new
        turn.world.invalidate(table.name)

    return altered(turn, table, clause, apply)


def swap_columns(turn: Turn) -> Draft | None:
    """Two names at once, of columns of one type."""
    table = turn.alterable(lambda t: len([c for c in t.free_columns if not c.generated]) > 1)
    if table is None:
        return None
    one, other = turn.chance.sample([c for c in table.free_columns if not c.generated], 2)
    names = (one.name, other.name)

    def apply() -> None:
        one.name, other.name = names[1], names[0]
        turn.world.invalidate(table.name)

    a, b = turn.q(one.name), turn.q(other.name)
    return altered(turn, table, f"RENAME COLUMN {a} TO {b}, RENAME COLUMN {b} TO {a}", apply)


def column_default(turn: Turn) -> Draft | None:
    table, column = _free(turn, lambda _: True, lambda c: bool(c.type.default) and not c.generated and not c.serial)
    if table is None or column is None:
        return None
    default = "" if column.default and column.nullable else column.type.default

    def apply() -> None:
        column.default = default

    action = f"SET DEFAULT {default}" if default else "DROP DEFAULT"
    return altered(
        turn, table, f"ALTER COLUMN {turn.q(column.name)} {action}", apply if default else _undefault(column)
    )


def column_visibility(turn: Turn) -> Draft | None:
    table, column = _free(turn, lambda t: _visible(t) > 2, lambda c: c.nullable and not c.generated and not c.serial)
    if table is None or column is None or column.type.sql == "TIMESTAMP":
        return None
    hidden = not column.invisible

    def apply() -> None:
        column.invisible = hidden

    if turn.world.flavour == "mysql":
        clause = f"ALTER COLUMN {turn.q(column.name)} SET {'INVISIBLE' if hidden else 'VISIBLE'}"
    else:
        column.invisible = hidden
        clause = f"MODIFY COLUMN {turn.define(column)}"
        column.invisible = not hidden
    return altered(turn, table, clause, apply)


def options(turn: Turn) -> Draft | None:
    """What rebuilds or only says something about the table."""
    table = turn.alterable()
    if table is None:
        return None
    clause = turn.chance.choice(
        (
            *("ENGINE=InnoDB", "FORCE", "ROW_FORMAT=DYNAMIC", "STATS_PERSISTENT=1"),
            *(f"COMMENT = {turn.text(turn.comment())}", f"AUTO_INCREMENT = {turn.chance.randint(1, 5000)}"),
            *("DISABLE KEYS", "ENABLE KEYS", f"DEFAULT CHARACTER SET latin1, COMMENT {turn.text(turn.comment())}"),
            *("ENGINE=InnoDB, ALGORITHM=COPY", "FORCE, LOCK=SHARED", f"ORDER BY {turn.q(table.columns[0].name)}"),
        )
    )
    if clause.startswith("AUTO") and not _auto(table):
        return None
    if clause.startswith("ORDER") and table.columns[0].type.index == "-":
        return None
    return altered(turn, table, clause)


def convert(turn: Turn) -> Draft | None:
    table = turn.alterable(lambda t: not any(c.generated or _loses_labels(c) for c in t.columns))
    if table is None:
        return None
    collation = turn.chance.choice(_COLLATIONS)

    def apply() -> None:
        table.fulltext = table.fulltext or any(index.kind for index in table.indexes)

    return altered(turn, table, f"CONVERT TO CHARACTER SET utf8mb4 COLLATE {collation}", apply)


def several(turn: Turn) -> Draft | None:
    """Clauses of several kinds in one statement."""
    table = turn.alterable(lambda t: turn.room(t) and bool(indexable(t)))
    if table is None:
        return None
    column = Column(turn.new_column_name(table.column_names), PLAIN_INT, default="7")
    index = Index(turn.own_name("k"), (turn.chance.choice(indexable(table)).name,))
    listed = turn.q(index.columns[0]) + table.column(index.columns[0]).type.index

    def apply() -> None:
        table.columns.insert(0, column)
        table.indexes.append(index)

    clauses = [f"ADD {turn.define(column)} FIRST", f"ADD KEY {turn.q(index.name)} ({listed})"]
    return altered(turn, table, turn.comma([*clauses, f"COMMENT {turn.text(turn.comment())}"]), apply)


def alter_absent(turn: Turn) -> Draft | None:
    """MariaDB's IF EXISTS, and its WAIT."""
    schema = turn.schema()
    if turn.world.flavour != "mariadb" or schema is None:
        return None
    name = turn.new_name(schema)
    assert name is not None
    return Draft(f"ALTER TABLE IF EXISTS {turn.name(name)} WAIT 5 ADD COLUMN IF NOT EXISTS a INT", (name,))


# -- parts -------------------------------------------------------------------------------------------------------------


def _free(
    turn: Turn, wanted: Callable[[Table], bool], of: Callable[[Column], bool] = lambda _: True
) -> tuple[Table | None, Column | None]:
    table = turn.alterable(lambda t: wanted(t) and any(of(c) for c in t.free_columns))
    if table is None:
        return None, None
    return table, turn.chance.choice([c for c in table.free_columns if of(c)])


def _loses_labels(column: Column) -> bool:
    """MariaDB 10.11 may find that a label beyond ASCII does not fit, when it is converted from latin1."""
    return column.type.family == "enum" and column.type.charset == "latin1"


def _undefault(column: Column) -> Callable[[], None]:
    def apply() -> None:
        column.default = ""

    return apply


def _visible(table: Table) -> int:
    return sum(not column.invisible and not column.generated for column in table.columns)


def _computable(table: Table) -> list[Column]:
    """What a generated column may be computed from: nothing that a foreign key may set."""
    set_by_others = {key.column for key in table.foreign_keys}
    return [c for c in table.columns if c.type.whole_number and c.written and c.name not in set_by_others]


def _auto(table: Table) -> bool:
    return any(column.auto for column in table.columns)
