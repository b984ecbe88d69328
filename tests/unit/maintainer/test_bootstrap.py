"""What a new owner adopts, removes and creates."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from common.pb.v1 import model_pb2 as pb
from maintainer.bootstrap import Inventory, adopt
from maintainer.fleet import Fleet
from maintainer.placement import Home
from maintainer.units import make_units
from tests.unit.maintainer.builders import row, status

UNITS = make_units(["s.a", "s.b"], [], pb.TABLE)


def test_a_running_dispatcher_with_a_progress_row_is_adopted() -> None:
    adoption = adopt({"n1": Inventory([status("s.a", generation=4)])}, [row("s.a", generation=4)], UNITS)
    assert adoption.homes["s.a"].node == "n1"
    assert adoption.homes["s.a"].lane < 0
    assert adoption.generations["s.a"] == 4


def test_of_duplicates_the_higher_incarnation_is_kept() -> None:
    inventories = {"n1": Inventory([status("s.a", generation=2)]), "n2": Inventory([status("s.a", generation=3)])}
    assert adopt(inventories, [row("s.a")], UNITS).homes["s.a"].node == "n2"


def test_of_equal_generations_the_higher_epoch_is_kept() -> None:
    inventories = {"n1": Inventory([status("s.a", epoch=8)]), "n2": Inventory([status("s.a", epoch=7)])}
    assert adopt(inventories, [row("s.a")], UNITS).homes["s.a"].node == "n1"


def test_one_below_its_progress_row_is_fenced_already_and_not_adopted() -> None:
    adoption = adopt({"n1": Inventory([status("s.a", generation=2)])}, [row("s.a", generation=3)], UNITS)
    assert "s.a" not in adoption.homes
    assert adoption.generations["s.a"] == 3


def test_a_dispatcher_of_a_table_that_is_no_longer_replicated_is_not_adopted() -> None:
    assert adopt({"n1": Inventory([status("s.gone")])}, [row("s.a")], UNITS).homes == {}


def test_a_removal_of_the_former_owner_is_finished() -> None:
    inventory = Inventory([status("s.a")], removing={"s.a"})
    rows = [row("s.a"), row("s.b")]
    fleet = Fleet(2)
    fleet.begin(adopt({"n1": inventory}, rows, UNITS), {"n1": inventory}, seq=1)
    orders = fleet.decide(UNITS, ["n1"], ["n1"], {})["n1"]
    assert [placement.dispatcher for placement in orders.remove] == ["s.a"]
    assert [placement.dispatcher for placement in orders.create] == ["s.b"]


def test_a_create_that_the_node_dropped_at_the_takeover_is_placed_anew_in_a_known_lane() -> None:
    inventory = Inventory([status("s.a", generation=3)])
    units = make_units(["s.a"], [], pb.TABLE)
    fleet = Fleet(2)
    fleet.begin(adopt({"n1": inventory}, [row("s.a")], units), {"n1": inventory}, seq=1)
    assert fleet.decide(units, ["n1"], ["n1"], {}) == {}
    fleet.observe("n1", [], seq=2)
    (placement,) = fleet.decide(units, ["n1"], ["n1"], {})["n1"].create
    assert (placement.dispatcher, placement.generation, placement.lane) == ("s.a", 4, 0)


def test_a_broken_dispatcher_is_placed_anew() -> None:
    assert adopt({"n1": Inventory([status("s.a", state=pb.BROKEN)])}, [row("s.a")], UNITS).homes == {}


def test_a_unit_of_several_tables_is_placed_anew_because_its_lanes_are_not_known() -> None:
    tied = make_units(["s.a", "s.b"], [("s.a", "s.b")], pb.TABLE)
    inventory = Inventory([status("s.a"), status("s.b")])
    assert adopt({"n1": inventory}, [row("s.a"), row("s.b")], tied).homes == {}


@given(
    st.dictionaries(
        st.sampled_from(["n1", "n2", "n3"]),
        st.lists(
            st.builds(
                lambda key, generation: status(key, generation=generation),
                st.sampled_from(["s.a", "s.b", "s.c"]),
                st.integers(1, 5),
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
    adoption = adopt(inventories, rows, units)
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
