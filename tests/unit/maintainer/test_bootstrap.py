"""What a new owner adopts, removes and creates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.maintainer.bootstrap import Inventory, adopt
from hedgerow.maintainer.colocation import Unit, make_units
from hedgerow.maintainer.fleet import Fleet
from hedgerow.maintainer.placement import Home
from tests.unit.maintainer.builders import row, status

UNITS = make_units(["s.a", "s.b"], [], pb.TABLE)


def test_a_running_dispatcher_with_a_progress_row_is_adopted() -> None:
    adoption = adopt({"n1": Inventory([status("s.a", generation=4, lane=1)])}, [row("s.a", generation=4)], UNITS, 2)
    assert adoption.homes["s.a"] == Home("n1", 1)
    assert adoption.generations["s.a"] == 4


def test_of_duplicates_the_higher_incarnation_is_kept() -> None:
    inventories = {"n1": Inventory([status("s.a", generation=2)]), "n2": Inventory([status("s.a", generation=3)])}
    assert adopt(inventories, [row("s.a")], UNITS, 2).homes["s.a"].node == "n2"


def test_of_equal_generations_the_higher_epoch_is_kept() -> None:
    inventories = {"n1": Inventory([status("s.a", epoch=8)]), "n2": Inventory([status("s.a", epoch=7)])}
    assert adopt(inventories, [row("s.a")], UNITS, 2).homes["s.a"].node == "n1"


def test_one_below_its_progress_row_is_fenced_already_and_not_adopted() -> None:
    adoption = adopt({"n1": Inventory([status("s.a", generation=2)])}, [row("s.a", generation=3)], UNITS, 2)
    assert "s.a" not in adoption.homes
    assert adoption.generations["s.a"] == 3


def test_a_dispatcher_of_a_table_that_is_no_longer_replicated_is_not_adopted() -> None:
    assert adopt({"n1": Inventory([status("s.gone")])}, [row("s.a")], UNITS, 2).homes == {}


def test_a_removal_of_the_former_owner_is_finished() -> None:
    inventory = Inventory([status("s.a")], removing={"s.a"})
    rows = [row("s.a"), row("s.b")]
    fleet = Fleet(2)
    fleet.begin(adopt({"n1": inventory}, rows, UNITS, 2), {"n1": inventory}, seq=1)
    orders = fleet.decide(UNITS, ["n1"], ["n1"], {})["n1"]
    assert [placement.dispatcher for placement in orders.remove] == ["s.a"]
    assert [placement.dispatcher for placement in orders.create] == ["s.b"]


def test_a_create_that_the_node_dropped_at_the_takeover_is_placed_anew_in_a_known_lane() -> None:
    inventory = Inventory([status("s.a", generation=3)])
    units = make_units(["s.a"], [], pb.TABLE)
    fleet = Fleet(2)
    fleet.begin(adopt({"n1": inventory}, [row("s.a")], units, 2), {"n1": inventory}, seq=1)
    assert fleet.decide(units, ["n1"], ["n1"], {}) == {}
    fleet.observe("n1", [], seq=2)
    (placement,) = fleet.decide(units, ["n1"], ["n1"], {})["n1"].create
    assert (placement.dispatcher, placement.generation, placement.lane) == ("s.a", 4, 0)


def test_a_broken_dispatcher_is_placed_anew() -> None:
    assert adopt({"n1": Inventory([status("s.a", state=pb.BROKEN)])}, [row("s.a")], UNITS, 2).homes == {}


TIED = make_units(["s.a", "s.b"], [("s.a", "s.b")], pb.TABLE)
ALL = make_units(["s.a", "s.b", "*"], [], pb.TRANSACTION)


@pytest.mark.parametrize(("units", "lane", "lanes"), [(TIED, 1, 2), (ALL, 0, 1)])
def test_a_unit_in_one_lane_of_one_node_is_adopted_and_restarts_nothing(
    units: list[Unit], lane: int, lanes: int
) -> None:
    keys = sorted(key for unit in units for key in unit)
    inventory = Inventory([status(key, lane=lane) for key in keys])
    adoption = adopt({"n1": inventory}, [row(key) for key in keys], units, lanes)
    assert adoption.homes == {key: Home("n1", lane) for key in keys}
    fleet = Fleet(lanes)
    fleet.begin(adoption, {"n1": inventory}, seq=1)
    assert fleet.decide(units, ["n1", "n2"], ["n1", "n2"], {}) == {}
    assert all(fleet.settled(unit) for unit in units)


@pytest.mark.parametrize("other", [("n1", 1), ("n2", 0)])
def test_a_unit_that_does_not_share_a_node_and_a_lane_is_placed_anew(other: tuple[str, int]) -> None:
    node, lane = other
    found = {"n1": [status("s.a", lane=0)], "n2": []}
    found[node].append(status("s.b", lane=lane))
    inventories = {name: Inventory(statuses) for name, statuses in found.items()}
    assert adopt(inventories, [row("s.a"), row("s.b")], TIED, 2).homes == {}


def test_a_lane_beyond_what_an_update_left_is_the_one_that_the_node_folds_it_to() -> None:
    inventory = Inventory([status("s.a", lane=3), status("s.b", lane=1)])
    assert set(adopt({"n1": inventory}, [row("s.a"), row("s.b")], TIED, 2).homes.values()) == {Home("n1", 1)}


def test_what_a_unit_misses_is_created_beside_what_runs() -> None:
    inventory = Inventory([status("s.a", lane=1)])
    fleet = Fleet(2)
    fleet.begin(adopt({"n1": inventory}, [row("s.a"), row("s.b")], TIED, 2), {"n1": inventory}, seq=1)
    (placement,) = fleet.decide(TIED, ["n1", "n2"], ["n1", "n2"], {})["n1"].create
    assert (placement.dispatcher, placement.lane) == ("s.b", 1)


@given(
    st.dictionaries(
        st.sampled_from(["n1", "n2", "n3"]),
        st.lists(
            st.builds(
                lambda key, generation, lane: status(key, generation=generation, lane=lane),
                st.sampled_from(["s.a", "s.b", "s.c"]),
                st.integers(1, 5),
                st.integers(0, 3),
            ),
            unique_by=lambda found: found.dispatcher,
        ),
    ),
    st.dictionaries(st.sampled_from(["s.a", "s.b", "s.c"]), st.integers(0, 5)),
)
def test_after_bootstrap_each_dispatcher_is_kept_once_or_created_above_all_that_was_seen(
    found: dict[str, list[pb.DispatcherStatus]], generations: dict[str, int]
) -> None:
    rows = [row(key, generation=generation) for key, generation in generations.items()]
    inventories = {node: Inventory(statuses) for node, statuses in found.items()}
    units = make_units(generations, [], pb.TABLE)
    adoption = adopt(inventories, rows, units, 2)
    for key, home in adoption.homes.items():
        assert isinstance(home, Home)
        (kept,) = [s for s in found[home.node] if s.dispatcher == key]
        running = [s.generation for statuses in found.values() for s in statuses if s.dispatcher == key]
        assert kept.generation == max(running) >= generations[key]
    fleet = Fleet(2)
    fleet.begin(adoption, inventories, seq=1)
    orders = fleet.decide(units, [*inventories, "n9"], [*inventories, "n9"], {})
    for order in orders.values():
        for placement in order.create:
            key = placement.dispatcher
            seen = [s.generation for statuses in found.values() for s in statuses if s.dispatcher == key]
            assert placement.generation > max([*seen, generations[key]])
            assert not seen, "a dispatcher that still runs somewhere is removed first"
