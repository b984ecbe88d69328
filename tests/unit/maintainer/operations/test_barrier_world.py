"""The DDL barrier while tables come and go, messages and views are late or lost, and owners follow one another."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hedgerow.common.pb.v1 import dispatch_pb2
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.maintainer.fleet import Orders
from hedgerow.maintainer.operations.api import DecideBarrier
from tests.unit.maintainer.operations.another import Reread
from tests.unit.maintainer.operations.barrier_world import NODES, World

NAMES = ["s.a", "s.b", "s.c", "s.d"]
OUTSIDE = "s.x"


def _pick(choices: list[str], number: int) -> str:
    return choices[number % len(choices)]


def _rows(world: World, n: int) -> None:
    if world.tables:
        world.append(rows=_pick(world.tables, n))


def _create(world: World, n: int, select: bool = False) -> None:
    free = [name for name in NAMES if name not in world.tables]
    if free:
        name = _pick(free, n)
        world.append(touches=[name], creates=[name], select=["yes"] if select else [])
        world.tables.append(name)
        if select:
            world.append(rows=name)


def _known(world: World) -> list[str]:
    return [name for name in world.tables if name != OUTSIDE]


def _drop(world: World, n: int) -> None:
    if _known(world):
        name = _pick(_known(world), n)
        world.append(touches=[name], drops=[name])
        world.tables.remove(name)


def _change(world: World, n: int) -> None:
    """TRUNCATE, ALTER."""
    if world.tables:
        world.append(touches=[_pick(world.tables, n)])


def _rename(world: World, n: int) -> None:
    free = [name for name in NAMES if name not in world.tables]
    if free and _known(world):
        old, new = _pick(_known(world), n), _pick(free, n)
        world.append(touches=[old, new], drops=[old], creates=[new])
        world.tables = [new if name == old else name for name in world.tables]


def _swap(world: World, n: int) -> None:
    if len(_known(world)) > 1:
        one, other = _known(world)[:2]
        world.append(touches=[one, other])


def _tie(world: World, n: int) -> None:
    if len(_known(world)) > 1:
        child, parent = _known(world)[-2:]
        world.append(touches=[child, parent], ties=((child, parent),))


def _everything(world: World, n: int) -> None:
    world.append(everything=["yes"])


def _live(world: World, n: int) -> None:
    running = [(name, key) for name, node in world.nodes.items() for key in sorted(node.dispatchers)]
    if running:
        world.live(*running[n % len(running)])


def _idle(world: World, n: int) -> None:
    running = [(name, key) for name, node in world.nodes.items() for key in sorted(node.dispatchers)]
    if running:
        world.idle_progress(*running[n % len(running)])


def _run(world: World, n: int) -> None:
    """A node obeys all, and its dispatchers go as far as they can."""
    name = _pick(list(NODES), n)
    node = world.nodes[name]
    while node.inbox:
        world.obey(name)
    for key in sorted(node.dispatchers):
        for _ in range(6):
            world.live(name, key)


def _beat(world: World, n: int) -> None:
    name = _pick(list(NODES), n)
    world.beat_arrives(name)
    world.ask_beat(name)


def _fresh_beat(world: World, n: int) -> None:
    name = _pick(list(NODES), n)
    for _ in range(2):
        world.ask_beat(name)
        world.beat_arrives(name)


def _view(world: World, n: int) -> None:
    world.read_sink()
    world.view_arrives()


def _round(world: World, n: int) -> None:
    """What is usual: everything moves, and only the view is late, every other time."""
    for number in range(len(NODES)):
        _run(world, number)
        _fresh_beat(world, number)
    if n % 2:
        _view(world, n)
    world.step()


def _break_or_cut(world: World, n: int) -> None:
    name = _pick(list(NODES), n)
    if not world.nodes[name].reachable or n % 2:
        world.come_back(name)
    else:
        world.cut_off(name)


USUAL: list[Callable[[World, int], None]] = [_rows, _create, _drop, _change, _rename, _swap, _tie, _everything]
MOVES: list[Callable[[World, int], None]] = [_live, _run, _beat, _fresh_beat, _view, _round, _round, _idle]
ACTIONS: list[Callable[[World, int], None]] = [
    *USUAL,
    _rows,
    _create,
    lambda world, n: _create(world, n, select=True),
    *MOVES,
    *MOVES,
    lambda world, n: world.obey(_pick(list(NODES), n)),
    lambda world, n: world.step(),
    lambda world, n: world.step(),
    lambda world, n: world.read_sink(),
    lambda world, n: world.view_arrives(),
    lambda world, n: world.take_over(),
    lambda world, n: world.kill(_pick(list(NODES), n)),
    _break_or_cut,
    lambda world, n: world.include(OUTSIDE),
]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    st.lists(st.tuples(st.sampled_from(range(len(ACTIONS))), st.integers(0, 11)), min_size=10, max_size=150),
    st.booleans(),
    st.booleans(),
)
def test_no_ddl_is_executed_before_earlier_rows_none_passed_before_it_and_everything_ends(
    actions: list[tuple[int, int]], alone: bool, has_another: bool
) -> None:
    world = World(["s.a", "s.b"], [OUTSIDE], alone=alone, others=lambda: [Reread(3.0)] if has_another else [])
    world.take_over()
    for _ in range(4):
        _round(world, 1)
    for action, number in actions:
        ACTIONS[action](world, number)
    world.settle()


def test_a_table_that_was_created_just_now_holds_the_ddl_after_it() -> None:
    """Finding A62, without luck: CREATE, rows, TRUNCATE; the view of the sink comes late."""
    world = World(["s.a"], [])
    world.take_over()
    for _ in range(4):
        _round(world, 1)
    _create(world, 0)
    world.append(rows="s.b")
    world.append(touches=["s.b"])
    for _ in range(4):
        _round(world, 0)
    assert world.sink.executed == [1]
    world.settle()


def test_one_whose_table_was_dropped_and_created_again_is_placed_anew() -> None:
    """The order to remove it is lost, and the owner is replaced: its successor never sees the list without it."""
    world = World(["s.a"], [])
    world.take_over()
    for _ in range(4):
        _round(world, 1)
    world.append(touches=["s.a"], drops=["s.a"])
    world.append(touches=["s.a"], creates=["s.a"])
    world.append(rows="s.a")
    while world.sink.executed != [1, 2]:
        _round(world, 1)
        for node in world.nodes.values():
            node.inbox = [(epoch, what) for epoch, what in node.inbox if not isinstance(what, Orders)]
    (former,) = (one for node in world.nodes.values() for key, one in node.dispatchers.items() if key == "s.a")
    assert former.state == pb.BLOCKED
    world.take_over()
    world.settle()
    assert former.state == pb.ENDED


def test_a_table_that_was_included_since_holds_a_ddl_that_was_decided_over_without_it() -> None:
    world = World(["s.a"], [OUTSIDE])
    world.take_over()
    for _ in range(4):
        _round(world, 1)
    world.append(rows=OUTSIDE)
    world.append(touches=[OUTSIDE])
    _run(world, 0)
    _fresh_beat(world, 0)
    world.step()
    assert [what.action for _, what in world.nodes["n1"].inbox if isinstance(what, DecideBarrier)] == [
        dispatch_pb2.WRITE
    ]
    world.include(OUTSIDE)
    _run(world, 0)
    assert world.sink.executed == [], "the sink knows of rows that nobody has applied"
    world.settle()
