"""The schema of the source as the statements so far have made it: what may be done next, and who holds what.

Nothing here knows SQL, and nothing reads a clock: two worlds that were led through the same statements are equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.mysql.names import TableName
from tests.storm.columns import Type


@dataclass(slots=True)
class Column:
    """`serial`: each of its values is there once or is NULL. `auto`: AUTO_INCREMENT, whose values the server gives.
    `pins`: what refers to it (generated columns, checks, foreign keys, triggers, partitions): it stays as it is."""

    name: str
    type: Type
    nullable: bool = True
    serial: bool = False
    auto: bool = False
    generated: bool = False
    invisible: bool = False
    default: str = ""
    pins: int = 0

    @property
    def written(self) -> bool:
        """INSERT names it."""
        return not (self.generated or self.auto)


@dataclass(slots=True)
class Index:
    name: str
    columns: tuple[str, ...]
    unique: bool = False
    visible: bool = True
    kind: str = ""


@dataclass(slots=True)
class ForeignKey:
    name: str
    column: str
    parent: TableName
    refers: str
    cascades: bool = False


@dataclass(slots=True)
class Partitions:
    """`names` in their order; `bounds` of RANGE, but of the last, which has none. HASH and KEY have only a number."""

    method: str
    column: str
    names: list[str] = field(default_factory=list)
    bounds: list[int] = field(default_factory=list)
    number: int = 0


@dataclass(slots=True)
class Trigger:
    name: str
    table: TableName
    target: TableName | None


@dataclass(slots=True)
class Table:
    name: TableName
    columns: list[Column]
    key: tuple[str, ...] = ()
    indexes: list[Index] = field(default_factory=list)
    foreign_keys: list[ForeignKey] = field(default_factory=list)
    checks: dict[str, str] = field(default_factory=dict)  # its name and its column; "" for one that the server named
    partitions: Partitions | None = None
    filled: bool = False  # some row may be there
    orphans: bool = False  # some row may lack its parent
    fulltext: bool = False  # has or had a FULLTEXT index: fewer algorithms are allowed
    instants: int = 0
    altered: bool = False  # since it was made: it may differ from one that is made like it in what nobody sees
    served_checks: int = 0  # checks with names of the server's making

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    @property
    def column_names(self) -> set[str]:
        return {column.name for column in self.columns}

    @property
    def indexed(self) -> set[str]:
        return {name for index in self.indexes for name in index.columns} | set(self.key)

    @property
    def free_columns(self) -> list[Column]:
        """Those that nothing refers to."""
        return [c for c in self.columns if not c.pins and c.name not in self.indexed and not c.auto]

    @property
    def needs_plain_name(self) -> bool:
        """Servers make longer names of it: for checks that have none, and for the files of partitions."""
        return bool(self.checks or self.served_checks or self.partitions)

    @property
    def temporal(self) -> bool:
        return any(column.type.temporal for column in self.columns)


@dataclass(slots=True)
class View:
    name: TableName
    base: TableName
    columns: tuple[str, ...]
    valid: bool = True


@dataclass(slots=True)
class Session:
    """`uses`: its default schema, also one that has been dropped by another session since."""

    number: int
    charset: str = "utf8mb4"
    sql_mode: str = "STRICT_TRANS_TABLES"
    uses: str = ""
    checks_foreign_keys: bool = True
    row_image: str = "FULL"
    open: list[TableName] = field(default_factory=list)  # what its transaction holds
    in_transaction: bool = False
    xa: str = ""  # its XA transaction, and how far that is
    xa_state: str = ""
    savepoints: list[str] = field(default_factory=list)

    @property
    def strict(self) -> bool:
        return "STRICT" in self.sql_mode or "TRADITIONAL" in self.sql_mode

    @property
    def refuses_zero_dates(self) -> bool:
        return "NO_ZERO" in self.sql_mode or "TRADITIONAL" in self.sql_mode

    @property
    def backslash_escapes(self) -> bool:
        return "NO_BACKSLASH_ESCAPES" not in self.sql_mode

    def end_transaction(self) -> None:
        self.open.clear()
        self.savepoints.clear()
        self.in_transaction = False
        self.xa = self.xa_state = ""


@dataclass(slots=True)
class World:
    flavour: Flavour
    sessions: list[Session]
    schemas: dict[str, None] = field(default_factory=dict)  # in order of their creation
    tables: dict[TableName, Table] = field(default_factory=dict)
    views: dict[TableName, View] = field(default_factory=dict)
    triggers: dict[str, Trigger] = field(default_factory=dict)
    routines: dict[TableName, str] = field(default_factory=dict)
    sequences: dict[TableName, None] = field(default_factory=dict)
    counter: int = 0  # of serial values and of names
    focus: TableName | None = None

    def next(self) -> int:
        self.counter += 1
        return self.counter

    def taken(self, schema: str) -> set[str]:
        """Names of tables, views and sequences, which share one space."""
        holders: tuple[Iterable[TableName], ...] = (self.tables, self.views, self.sequences)
        return {name.table for names in holders for name in names if name.schema == schema}

    # -- who is tied to whom ------------------------------------------------------------------------------------------

    def children(self, parent: TableName) -> list[tuple[Table, ForeignKey]]:
        return [(t, fk) for t in self.tables.values() for fk in t.foreign_keys if fk.parent == parent]

    def triggers_of(self, table: TableName) -> list[Trigger]:
        return [trigger for trigger in self.triggers.values() if trigger.table == table]

    def targeted(self, table: TableName) -> bool:
        """Some trigger writes into it."""
        return any(trigger.target == table for trigger in self.triggers.values())

    def tied(self, *names: TableName) -> tuple[TableName, ...]:
        """These, and all that a change of them may read, lock or change: by foreign keys and by triggers."""
        found: dict[TableName, None] = {}
        todo = list(names)
        while todo:
            name = todo.pop()
            if name in found:
                continue
            found[name] = None
            if (table := self.tables.get(name)) is not None:
                todo += [key.parent for key in table.foreign_keys]
                todo += [child.name for child, _ in self.children(name)]
                todo += [trigger.target for trigger in self.triggers_of(name) if trigger.target]
        return tuple(found)

    def held_by_another(self, names: Iterable[TableName], session: Session) -> bool:
        held = {name for other in self.sessions if other is not session for name in other.open}
        return not held.isdisjoint(names)

    # -- changes that reach further than one table --------------------------------------------------------------------

    def forget(self, name: TableName) -> None:
        """A table is gone, and its triggers with it."""
        del self.tables[name]
        for trigger in self.triggers_of(name):
            del self.triggers[trigger.name]
        self.invalidate(name)
        if self.focus == name:
            self.focus = None

    def invalidate(self, base: TableName) -> None:
        """Views of a table that is not what it was may have lost what they select."""
        for view in self._views_over(base):
            view.valid = False

    def rename(self, names: dict[TableName, TableName]) -> None:
        """All at once, by their names before and after."""
        moved = {new: self.tables.pop(old) for old, new in names.items()}
        for new, table in moved.items():
            table.name = new
        self.tables |= moved
        for table in self.tables.values():
            for key in table.foreign_keys:
                key.parent = names.get(key.parent, key.parent)
        for trigger in self.triggers.values():
            trigger.table = names.get(trigger.table, trigger.table)
        for name in (*names, *names.values()):
            self.invalidate(name)
        if self.focus in names:
            self.focus = names[self.focus]

    def _views_over(self, base: TableName) -> Iterator[View]:
        for view in self.views.values():
            if view.base == base:
                yield view
                yield from self._views_over(view.name)
