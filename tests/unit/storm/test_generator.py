"""The generator without servers: a seed means one sequence, everything occurs, and the model stays consistent.

That the servers accept what it makes is what every storm shows: it ends at the first statement that is refused.
"""

from __future__ import annotations

import re
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.mysql.names import TableName
from tests.storm.generator import ACTIONS, GROUPS, Generator, Step
from tests.storm.turn import EVERYTHING
from tests.storm.world import Table, World

FLAVOURS: tuple[Flavour, ...] = ("mariadb", "mysql")
ONE_FLAVOUR = {
    "mysql": {"create_or_replace", "alter_absent", "create_sequence", "alter_sequence", "next_value", "drop_sequence"},
    "mariadb": set[str](),
}
NEVER = re.compile(
    r"\bTEMPORARY\b|\bUUID\(\)|\bCURRENT_USER\b|\bSYSTEM VERSIONING\b|\bCREATE EVENT\b|\bENGINE ?= ?MYISAM\b",
    re.IGNORECASE,
)


def steps_of(flavour: Flavour, seed: int, count: int) -> list[Step]:
    return list(islice(Generator(flavour, seed), count))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_seed_is_one_sequence(flavour: Flavour) -> None:
    first = steps_of(flavour, 7, 400)
    assert first == steps_of(flavour, 7, 400)
    assert first != steps_of(flavour, 8, 400)
    assert [step.number for step in first] == list(range(400))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_everything_occurs(flavour: Flavour) -> None:
    wanted = {action.__name__ for _, _, actions in ACTIONS for action in actions} | {"make", "swap", "fill", "strip"}
    wanted -= ONE_FLAVOUR[flavour]
    seen: set[str] = set()
    for seed in range(20):
        seen |= {step.kind for step in steps_of(flavour, seed, 1000)}
        if wanted <= seen:
            break
    assert not wanted - seen
    assert seen.isdisjoint(ONE_FLAVOUR[flavour])


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_can_be_left_out(group: str) -> None:
    among = {action.__name__ for name, _, actions in ACTIONS if name == group for action in actions}
    generator = Generator("mariadb", 3, without=[group])
    if group in ("schemas", "create"):
        return  # without them nothing else is left
    assert among.isdisjoint(step.kind for step in islice(generator, 400))


@settings(max_examples=15)
@given(st.sampled_from(FLAVOURS), st.integers(0, 1 << 32))
def test_the_world_stays_consistent(flavour: Flavour, seed: int) -> None:
    generator = Generator(flavour, seed)
    open_by: dict[int, set[str]] = {}
    for step in islice(generator, 250):
        assert step.data
        assert not NEVER.search(step.sql), step
        held = {name for session, names in open_by.items() if session != step.session for name in names}
        assert held.isdisjoint(step.touches), f"{step} waits for another session's transaction: {held}"
        assert EVERYTHING not in step.touches or step.kind in ("create_database", "alter_database", "drop_database")
        open_by = {session.number: {name.key for name in session.open} for session in generator.world.sessions}
        check(generator.world)
    list(generator.settle())
    assert not any(session.in_transaction or session.open for session in generator.world.sessions)
    check(generator.world)


def check(world: World) -> None:
    names = [*world.tables, *world.views, *world.sequences]
    assert len(set(names)) == len(names), "tables, views and sequences share one space of names"
    for name in (*names, *world.routines):
        assert name.schema in world.schemas
        assert "." not in name.schema
        assert "." not in name.table or name in world.routines
        assert 1 <= len(name.table) <= 64
        assert not name.table.endswith(" ")
    for name, table in world.tables.items():
        assert table.name == name
        check_table(world, table)
    for trigger in world.triggers.values():
        assert trigger.table in world.tables
        assert trigger.target in world.tables
        assert not world.triggers_of(trigger.target), "a trigger's target fires none"
    for view in world.views.values():
        if view.valid and view.base in world.tables:
            assert set(view.columns) <= world.tables[view.base].column_names
    for session in world.sessions:
        assert session.in_transaction or not session.open
        assert bool(session.xa) == bool(session.xa_state)


def check_table(world: World, table: Table) -> None:
    columns = {column.name: column for column in table.columns}
    assert len({name.lower() for name in columns}) == len(table.columns), "column names are compared without case"
    assert any(not column.invisible for column in table.columns)
    referred = {*table.key, *table.checks.values(), *(key.column for key in table.foreign_keys)}
    assert referred | {name for index in table.indexes for name in index.columns} <= columns.keys()
    assert all(not columns[name].nullable for name in table.key)
    assert sum(column.auto for column in table.columns) <= 1
    for column in table.columns:
        assert not column.auto or column.name in table.indexed, "AUTO_INCREMENT needs an index"
        assert column.pins >= 0
    for key in table.foreign_keys:
        assert key.parent in world.tables
        parent = world.tables[key.parent]
        assert parent.key == (key.refers,)
        assert parent.column(key.refers).type.sql == columns[key.column].type.sql
        assert not table.partitions
        assert not parent.partitions
    if table.partitions:
        assert table.partitions.column in table.key
        assert all(set(table.key) <= set(index.columns) for index in table.indexes if index.unique)
        if table.partitions.method == "RANGE":
            bounds = table.partitions.bounds
            assert bounds == sorted(set(bounds))
            assert len(table.partitions.names) == len(bounds) + 1
        else:
            assert table.partitions.number > 0


def test_names_that_the_model_ties_are_touched_together() -> None:
    for step in steps_of("mysql", 5, 600):
        if step.kind == "create_child":
            assert len(step.touches) >= 2, step
    world = Generator("mysql", 5).world
    assert world.tied(TableName("a", "b")) == (TableName("a", "b"),)
