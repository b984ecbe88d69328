"""Units and homes: balanced, stable, and together what must be together."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from hedgerow.common.ledger.schema import SCHEMA_DISPATCHER
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.maintainer.colocation import Unit, make_units
from hedgerow.maintainer.placement import Home, choose_homes

NODES = ["a", "b", "c", "d"]
TABLES = [f"s.t{number}" for number in range(12)]


@st.composite
def unit_lists(draw: st.DrawFn) -> list[Unit]:
    keys = draw(st.lists(st.sampled_from(TABLES), unique=True, max_size=12))
    edges = draw(st.lists(st.tuples(st.sampled_from(TABLES), st.sampled_from(TABLES)), max_size=5))
    return make_units([*keys, SCHEMA_DISPATCHER], edges, pb.TABLE)


node_sets = st.sets(st.sampled_from(NODES), min_size=1)
homes = st.dictionaries(
    st.sampled_from([*TABLES, SCHEMA_DISPATCHER]),
    st.builds(Home, st.sampled_from(NODES), st.integers(min_value=0, max_value=5)),
)
lane_counts = st.integers(min_value=1, max_value=4)


@given(unit_lists(), node_sets, homes, lane_counts)
def test_every_dispatcher_has_a_home_on_a_node_that_may_host_it(
    units: list[Unit], nodes: set[str], current: dict[str, Home], lanes: int
) -> None:
    chosen = choose_homes(units, nodes, current, lanes)
    assert chosen.keys() == frozenset().union(*units)
    assert all(home.node in nodes and home.lane < lanes for home in chosen.values())


@given(unit_lists(), node_sets, homes, lane_counts)
def test_a_unit_shares_one_node_and_one_lane(
    units: list[Unit], nodes: set[str], current: dict[str, Home], lanes: int
) -> None:
    chosen = choose_homes(units, nodes, current, lanes)
    for unit in units:
        assert len({chosen[key] for key in unit}) == 1


@given(unit_lists(), node_sets, homes, lane_counts)
def test_choosing_again_moves_nothing(units: list[Unit], nodes: set[str], current: dict[str, Home], lanes: int) -> None:
    chosen = choose_homes(units, nodes, current, lanes)
    assert choose_homes(units, nodes, chosen, lanes) == chosen


@given(st.integers(0, 12), node_sets, homes, lane_counts)
def test_single_tables_are_spread_within_one_of_even(
    count: int, nodes: set[str], current: dict[str, Home], lanes: int
) -> None:
    units = make_units([*TABLES[:count], SCHEMA_DISPATCHER], [], pb.TABLE)
    chosen = choose_homes(units, nodes, current, lanes)
    loads = Counter(home.node for key, home in chosen.items() if key != SCHEMA_DISPATCHER)
    assert max(loads.values(), default=0) - min((loads[node] for node in nodes), default=0) <= 1


@given(st.integers(1, 12))
def test_a_joining_node_costs_no_more_moves_than_it_takes_dispatchers(count: int) -> None:
    units = make_units(TABLES[:count], [], pb.TABLE)
    before = choose_homes(units, ["a", "b"], {}, 2)
    after = choose_homes(units, ["a", "b", "c"], before, 2)
    moved = [key for key in after if after[key] != before[key]]
    assert all(after[key].node == "c" for key in moved)


@given(unit_lists(), homes)
def test_a_draining_node_is_emptied(units: list[Unit], current: dict[str, Home]) -> None:
    chosen = choose_homes(units, ["b", "c"], current, 2)
    assert all(home.node != "a" for home in chosen.values())


def test_without_nodes_nothing_is_decided() -> None:
    assert choose_homes(make_units(TABLES, [], pb.TABLE), [], {"s.t0": Home("a", 0)}, 2) == {}


def test_a_pinned_unit_stays_where_the_user_put_it_and_counts_as_load() -> None:
    units = make_units(TABLES[:4], [("s.t0", "s.t1")], pb.TABLE)
    pinned = {"s.t0": "b", "s.t1": "b"}
    chosen = choose_homes(units, ["a", "b"], {}, 2, pinned)
    assert {chosen["s.t0"].node, chosen["s.t1"].node} == {"b"}
    assert {chosen["s.t2"].node, chosen["s.t3"].node} == {"a"}
    assert choose_homes(units, ["a"], chosen, 2, pinned)["s.t0"].node == "a"


def test_tables_of_one_node_are_spread_over_its_lanes() -> None:
    chosen = choose_homes(make_units(TABLES[:4], [], pb.TABLE), ["a"], {}, 4)
    assert {home.lane for home in chosen.values()} == {0, 1, 2, 3}


def test_the_schema_dispatcher_follows_the_tables_and_then_stays() -> None:
    units = make_units(["s.t0", SCHEMA_DISPATCHER], [], pb.TABLE)
    chosen = choose_homes(units, ["a", "b"], {"s.t0": Home("b", 0)}, 1)
    assert chosen[SCHEMA_DISPATCHER].node == "b"
    current = {SCHEMA_DISPATCHER: Home("a", 0), "s.t0": Home("b", 0)}
    assert choose_homes(units, ["a", "b"], current, 1)[SCHEMA_DISPATCHER].node == "a"


def test_a_table_that_joins_a_unit_goes_where_most_of_it_is() -> None:
    units = make_units(["s.t0", "s.t1"], [("s.t1", "s.t0")], pb.TABLE)
    chosen = choose_homes(units, ["a"], {"s.t0": Home("a", 1)}, 2)
    assert chosen == {"s.t0": Home("a", 1), "s.t1": Home("a", 1)}


def test_foreign_keys_tie_also_through_a_table_that_is_not_replicated() -> None:
    units = make_units(["s.a", "s.b", "s.c"], [("s.a", "s.hidden"), ("s.hidden", "s.b")], pb.TABLE)
    assert units == [frozenset({"s.a", "s.b"}), frozenset({"s.c"})]


def test_with_consistency_transaction_all_tables_are_one_unit_beside_the_schema_dispatcher() -> None:
    units = make_units(["s.a", "t.b", SCHEMA_DISPATCHER], [], pb.TRANSACTION)
    assert set(units) == {frozenset({"s.a", "t.b"}), frozenset({SCHEMA_DISPATCHER})}
