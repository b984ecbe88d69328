"""Schemas, views, triggers, routines, and MariaDB's sequences."""

from __future__ import annotations

from typing import Final

from hedgerow.common.mysql.names import TableName
from tests.storm.names import SCHEMAS, fresh
from tests.storm.turn import Draft, Turn
from tests.storm.world import Table, Trigger, View

_MOST_SCHEMAS: Final = 3
_MOST: Final = 4  # views, triggers, routines, sequences each


def create_database(turn: Turn) -> Draft | None:
    if len(turn.world.schemas) >= _MOST_SCHEMAS:
        return None
    name = fresh(turn.chance, SCHEMAS, set(turn.world.schemas))
    words = turn.chance.choice(("CREATE DATABASE", "CREATE SCHEMA IF NOT EXISTS"))
    options = turn.chance.choice(("", "", " CHARACTER SET utf8mb4", " DEFAULT COLLATE utf8mb4_bin", " CHARSET latin1"))

    def apply() -> None:
        turn.world.schemas[name] = None

    return Draft(f"{words} {turn.q(name)}{options}", apply=apply, everything=True)


def alter_database(turn: Turn) -> Draft | None:
    schema = turn.schema()
    if schema is None or _others_are_open(turn) or _others_use(turn, schema):
        return None
    option = turn.chance.choice(("CHARACTER SET latin1", "COLLATE utf8mb4_general_ci", "DEFAULT CHARSET = utf8mb4"))
    return Draft(f"ALTER DATABASE {turn.q(schema)} {option}", everything=True)


def drop_database(turn: Turn) -> Draft | None:
    """With all that is in it; nothing in another schema may refer to it."""
    world = turn.world
    if len(world.schemas) < 2:
        return None
    schema = turn.chance.choice(list(world.schemas))
    names = [name for name in world.tables if name.schema == schema]
    if _others_are_open(turn) or _others_use(turn, schema):
        return None
    for name in names:
        if any(child.name.schema != schema for child, _ in world.children(name)):
            return None
        if any(t.target == name and t.table.schema != schema for t in world.triggers.values()):
            return None

    def apply() -> None:
        for name in names:
            world.forget(name)
        world.views = {name: view for name, view in world.views.items() if name.schema != schema}
        world.routines = {name: kind for name, kind in world.routines.items() if name.schema != schema}
        world.sequences = {name: None for name in world.sequences if name.schema != schema}
        del world.schemas[schema]
        if turn.session.uses == schema:
            turn.session.uses = ""

    return Draft(
        f"DROP {turn.chance.choice(('DATABASE', 'SCHEMA IF EXISTS'))} {turn.q(schema)}", apply=apply, everything=True
    )


def _others_use(turn: Turn, schema: str) -> bool:
    """A session of MariaDB that has chosen a schema keeps the character set that it had then, and gives it to tables
    that it creates. Nothing in the binlog tells, so that the server's own replica makes other tables, too."""
    others = (session for session in turn.world.sessions if session is not turn.session)
    return turn.world.flavour == "mariadb" and any(session.uses == schema for session in others)


def _others_are_open(turn: Turn) -> bool:
    """Their locks are on the schema too."""
    return any(session.open for session in turn.world.sessions if session is not turn.session)


# -- views -------------------------------------------------------------------------------------------------------------


def create_view(turn: Turn) -> Draft | None:
    table = turn.table(lambda t: any(not c.generated for c in t.columns))
    name = turn.new_name()
    if table is None or name is None or len(turn.world.views) >= _MOST:
        return None
    return _view(turn, turn.chance.choice(("CREATE VIEW", "CREATE OR REPLACE ALGORITHM=MERGE VIEW")), name, table)


def alter_view(turn: Turn) -> Draft | None:
    view, table = _a_view(turn), turn.table()
    if view is None or table is None:
        return None
    words = turn.chance.choice(("ALTER VIEW", "CREATE OR REPLACE VIEW", "ALTER SQL SECURITY INVOKER VIEW"))
    return _view(turn, words, view.name, table)


def drop_view(turn: Turn) -> Draft | None:
    view = _a_view(turn)
    if view is None:
        return None

    def apply() -> None:
        del turn.world.views[view.name]

    words = turn.chance.choice(("DROP VIEW", "DROP VIEW IF EXISTS"))
    return Draft(f"{words} {turn.name(view.name)}", (view.name,), apply)


def _view(turn: Turn, words: str, name: TableName, table: Table) -> Draft:
    columns = tuple(c.name for c in table.columns)
    view = View(name, table.name, columns)

    def apply() -> None:
        turn.world.views[name] = view

    base = f"{turn.q(table.name.schema)}.{turn.q(table.name.table)}"
    text = f"{words} {turn.name(name)} AS SELECT {turn.listed(columns)} FROM {base}"
    if turn.likely(0.3):
        text += f" WHERE {turn.q(columns[0])} IS NOT NULL"
    return Draft(text, (name, table.name), apply)


def _a_view(turn: Turn) -> View | None:
    found = [v for v in turn.world.views.values() if not turn.world.held_by_another((v.name,), turn.session)]
    return turn.chance.choice(found) if found else None


# -- triggers: they fire in the source alone; what they write travels as rows ------------------------------------------


def create_trigger(turn: Turn) -> Draft | None:
    """On a table without foreign keys or triggers, into one that nothing else ties."""
    world = turn.world
    table = turn.table(lambda t: not world.triggers_of(t.name) and not world.targeted(t.name))
    if table is None or len(world.triggers) >= _MOST:
        return None
    targets = [
        t
        for t in world.tables.values()
        if t is not table and not world.triggers_of(t.name) and turn.may_touch(t.name) and _takes_anything(t)
    ]
    target = turn.chance.choice(targets) if targets else None
    name = turn.own_name("g")
    event = turn.chance.choice(("INSERT", "UPDATE", "DELETE"))
    if target is None:
        return None
    trigger = Trigger(name, table.name, target.name)
    into = f"{turn.q(target.name.schema)}.{turn.q(target.name.table)}"
    column = next(c for c in target.columns if c.written)
    body = f"INSERT INTO {into} ({turn.q(column.name)}) VALUES (DEFAULT)"
    if turn.likely(0.4):
        body = f"BEGIN {body}; SET @storm = 1; END"
    head = f"CREATE TRIGGER {turn.q(table.name.schema)}.{turn.q(name)} AFTER {event} ON {turn.name(table.name)}"

    def apply() -> None:
        world.triggers[name] = trigger
        column.pins += 1

    return Draft(f"{head} FOR EACH ROW {body}", world.tied(table.name, target.name), apply)


def drop_trigger(turn: Turn) -> Draft | None:
    found = [t for t in turn.world.triggers.values() if turn.may_touch(t.table)]
    if not found:
        return None
    trigger = turn.chance.choice(found)

    def apply() -> None:
        del turn.world.triggers[trigger.name]

    words = turn.chance.choice(("DROP TRIGGER", "DROP TRIGGER IF EXISTS"))
    text = f"{words} {turn.q(trigger.table.schema)}.{turn.q(trigger.name)}"
    return Draft(text, turn.world.tied(trigger.table), apply)


def _takes_anything(table: Table) -> bool:
    """An INSERT that names one column succeeds, however often."""
    givable = [c for c in table.columns if c.written]
    if not givable or not givable[0].nullable or givable[0].type.sql == "TIMESTAMP":
        return False
    return all(c.nullable or c.auto or c.generated for c in table.columns) and not table.partitions


# -- routines ----------------------------------------------------------------------------------------------------------


def create_routine(turn: Turn) -> Draft | None:
    schema = turn.schema()
    if schema is None or len(turn.world.routines) >= _MOST:
        return None
    name = TableName(schema, turn.own_name("r"))
    if turn.likely(0.5):
        kind = "FUNCTION"
        tail = "(a INT) RETURNS INT DETERMINISTIC NO SQL RETURN a + 1"
    else:
        kind = "PROCEDURE"
        tail = f"(IN a INT, OUT b INT) COMMENT {turn.text(turn.comment())} BEGIN SET b = a; SET b = b + 1; END"

    def apply() -> None:
        turn.world.routines[name] = kind

    return Draft(f"CREATE {kind} {turn.q(schema)}.{turn.q(name.table)} {tail}", (name,), apply)


def alter_routine(turn: Turn) -> Draft | None:
    name = _a_routine(turn)
    if name is None:
        return None
    kind = turn.world.routines[name]
    return Draft(f"ALTER {kind} {turn.name(name)} COMMENT {turn.text(turn.comment())}", (name,))


def drop_routine(turn: Turn) -> Draft | None:
    name = _a_routine(turn)
    if name is None:
        return None
    kind = turn.world.routines[name]

    def apply() -> None:
        del turn.world.routines[name]

    return Draft(f"DROP {kind}{turn.chance.choice(('', ' IF EXISTS'))} {turn.name(name)}", (name,), apply)


def _a_routine(turn: Turn) -> TableName | None:
    return turn.chance.choice(list(turn.world.routines)) if turn.world.routines else None


# -- sequences ---------------------------------------------------------------------------------------------------------


def create_sequence(turn: Turn) -> Draft | None:
    name = turn.new_name()
    if turn.world.flavour != "mariadb" or name is None or len(turn.world.sequences) >= _MOST:
        return None
    options = turn.chance.choice(("", " START WITH 5 INCREMENT BY 3", " CACHE 2", " NOCACHE", " MAXVALUE 50 CYCLE"))

    def apply() -> None:
        turn.world.sequences[name] = None

    return Draft(f"CREATE SEQUENCE {turn.name(name)}{options}", (name,), apply)


def alter_sequence(turn: Turn) -> Draft | None:
    name = _a_sequence(turn)
    if name is None:
        return None
    return Draft(f"ALTER SEQUENCE {turn.name(name)} RESTART 1", (name,))


def next_value(turn: Turn) -> Draft | None:
    name = _a_sequence(turn)
    if name is None or turn.session.row_image != "FULL" or turn.session.in_transaction:
        return None
    if "`" in name.table:  # MariaDB 10.11: Unknown SEQUENCE '``'
        return None
    return Draft(f"SELECT NEXTVAL({turn.name(name)})", (name,))


def drop_sequence(turn: Turn) -> Draft | None:
    name = _a_sequence(turn)
    if name is None:
        return None

    def apply() -> None:
        del turn.world.sequences[name]

    return Draft(f"DROP SEQUENCE {turn.name(name)}", (name,), apply)


def _a_sequence(turn: Turn) -> TableName | None:
    return turn.chance.choice(list(turn.world.sequences)) if turn.world.sequences else None
