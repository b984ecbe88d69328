"""The DDL barrier, driven as what it is: an operation that sees statuses and the schema dispatcher's progress row."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from hedgerow.common.ddlscope import dropped, touched
from hedgerow.common.ledger.schema import SCHEMA_DISPATCHER
from hedgerow.common.pb.v1 import dispatch_pb2
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.maintainer.operations.api import Command, DecideBarrier, Placed, ReadSink, View
from hedgerow.maintainer.operations.barrier import DdlBarrier
from tests.unit.maintainer.builders import ddl_at, status, view

K = ddl_at(10, "s.a")


def decisions(seen: View) -> list[DecideBarrier]:
    """Of an owner that has decided nothing yet."""
    commands = DdlBarrier(5.0).step(seen, 0.0)
    return [command for command in commands if isinstance(command, DecideBarrier)]


def run(placed: Placed, row: int, keys: set[str] | None = None, *, settled: bool = True) -> list[tuple[str, int, str]]:
    found = decisions(view(placed, row, keys=keys, settled=settled))
    return [(one.node, one.action, key) for one in found for key in one.dispatchers]


def blocked(key: str, ddl: pb.Ddl) -> pb.DispatcherStatus:
    return status(key, blocked=ddl, offset=ddl.position.offset - 1)


def test_write_when_all_that_the_ddl_touches_is_blocked_at_it() -> None:
    placed = {"*": ("n1", blocked("*", K)), "s.a": ("n2", blocked("s.a", K)), "s.b": ("n2", status("s.b", offset=3))}
    assert run(placed, 9) == [("n1", dispatch_pb2.WRITE, "*")]


def test_no_write_while_one_of_them_is_before_it() -> None:
    placed = {"*": ("n1", blocked("*", K)), "s.a": ("n2", status("s.a", offset=9))}
    assert run(placed, 9) == []


def test_one_that_is_past_it_does_not_hold_the_write() -> None:
    placed = {"*": ("n1", blocked("*", K)), "s.a": ("n2", status("s.a", offset=10))}
    assert run(placed, 9) == [("n1", dispatch_pb2.WRITE, "*")]


def test_a_dispatcher_that_runs_nowhere_holds_the_write() -> None:
    assert run({"*": ("n1", blocked("*", K))}, 9, {"*", "s.a"}) == []


def test_blocked_at_an_earlier_ddl_holds_the_write_of_a_later_one() -> None:
    placed = {"*": ("n1", blocked("*", K)), "s.a": ("n2", blocked("s.a", ddl_at(7, "s.a")))}
    assert run(placed, 9) == [("n2", dispatch_pb2.PASS, "s.a")]


def test_two_streams_that_met_one_gtid_on_two_servers_wait_for_the_same_ddl() -> None:
    """The source failed over while one of them waited: its successor has the transaction in another file."""
    elsewhere = pb.Ddl()
    elsewhere.CopyFrom(K)
    elsewhere.position.CopyFrom(pb.Position(file="other.000007", offset=4711, source_id="2"))
    placed = {"*": ("n1", blocked("*", K)), "s.a": ("n2", status("s.a", blocked=elsewhere, offset=9))}
    assert run(placed, 9) == [("n1", dispatch_pb2.WRITE, "*")]


def test_pass_when_the_schema_dispatchers_row_has_reached_it() -> None:
    placed = {"*": ("n1", status("*", offset=10)), "s.a": ("n2", blocked("s.a", K))}
    assert run(placed, 10) == [("n2", dispatch_pb2.PASS, "s.a")]


def test_no_pass_on_the_word_of_a_heartbeat_before_the_sink_was_read() -> None:
    placed = {"*": ("n1", status("*", offset=10)), "s.a": ("n2", blocked("s.a", K))}
    assert run(placed, 9) == []


def test_no_pass_while_the_unit_is_being_moved_together() -> None:
    placed = {"*": ("n1", status("*", offset=10)), "s.a": ("n2", blocked("s.a", K))}
    assert run(placed, 10, settled=False) == []


def test_a_dropped_table_is_not_passed() -> None:
    placed = {"*": ("n1", status("*", offset=10)), "s.a": ("n2", blocked("s.a", K))}
    assert run(placed, 10, {"*"}) == []


def test_a_statement_of_unknown_scope_and_one_on_a_schema_wait_for_all_they_may_touch() -> None:
    keys = {"*", "s.a", "s.b", "t.a"}
    assert touched(ddl_at(1, scope=pb.EVERYTHING), keys) == {"s.a", "s.b", "t.a"}
    assert touched(ddl_at(1, scope=pb.DDL_SCOPE_UNSPECIFIED), keys) == {"s.a", "s.b", "t.a"}
    assert touched(ddl_at(1, "s.", scope=pb.SCHEMA), keys) == {"s.a", "s.b"}
    assert touched(ddl_at(1), keys) == frozenset()
    assert dropped(pb.Ddl(drops=[pb.TableName(schema="s"), pb.TableName(schema="t", table="b")]), keys) == {
        "s.a",
        "s.b",
    }


@given(st.lists(st.integers(1, 30), min_size=1, max_size=4, unique=True), st.integers(1, 4), st.randoms())
def test_every_sequence_of_ddl_is_executed_in_order_and_passed_by_all(
    positions: list[int],
    tables: int,
    random: Random,
) -> None:
    """A model of streams: each dispatcher meets the DDL that touches it in order; whoever has a decision obeys it."""
    keys = [f"s.t{number}" for number in range(tables)]
    ddls = [ddl_at(offset, *[key for key in keys if random.random() < 0.5]) for offset in sorted(positions)]
    progress = dict.fromkeys([*keys, SCHEMA_DISPATCHER], 0)
    executed: list[int] = []
    for _ in range(200):
        placed: dict[str, tuple[str, pb.DispatcherStatus]] = {}
        for key, done in progress.items():
            ahead = [d for d in ddls if d.position.offset > done and (key == "*" or key in touched(d, keys))]
            if not ahead:
                progress[key] = 40
                placed[key] = ("n", status(key, offset=40))
            elif random.random() < 0.5:
                progress[key] = ahead[0].position.offset - 1
                placed[key] = ("n", status(key, blocked=ahead[0], offset=progress[key]))
            else:
                placed[key] = ("n", status(key, offset=done) if done else status(key))
        for barrier in decisions(view(placed, progress["*"])):
            offset = barrier.ddl.position.offset
            for key in barrier.dispatchers:
                assert placed[key][1].blocked == barrier.ddl
                if barrier.action == dispatch_pb2.WRITE:
                    assert all(progress[other] >= offset - 1 for other in touched(barrier.ddl, keys))
                    executed.append(offset)
                else:
                    assert offset in executed
                progress[key] = offset
    assert executed == sorted(positions)
    assert set(progress.values()) == {40}


def test_a_write_tells_which_incarnations_wait_for_it() -> None:
    placed = {"*": ("n1", blocked("*", K)), "s.a": ("n2", status("s.a", offset=10, generation=7))}
    (write,) = decisions(view(placed, 9))
    assert write.flushed == {"s.a": 7}


def test_no_write_while_the_list_of_dispatchers_may_have_changed() -> None:
    placed = {"*": ("n1", blocked("*", K)), "s.a": ("n2", blocked("s.a", K))}
    assert decisions(view(placed, 9, latest=False)) == []


def test_nothing_is_said_to_a_node_that_cannot_be_asked() -> None:
    placed = {"*": ("n1", status("*", offset=10)), "s.a": ("n1", blocked("s.a", K)), "s.b": ("n2", blocked("s.b", K))}
    assert decisions(view(placed, 10, sessions={"n2": 1})) == [DecideBarrier("n2", K, dispatch_pb2.PASS, ("s.b",))]


def passes(*keys: str) -> list[Command]:
    return [DecideBarrier("n1", K, dispatch_pb2.PASS, keys)]


def test_a_decision_is_sent_once_and_again_when_it_had_no_effect_for_a_while() -> None:
    barrier = DdlBarrier(repeat_seconds=5)
    one: Placed = {"s.a": ("n1", blocked("s.a", K))}
    both: Placed = {**one, "s.b": ("n1", blocked("s.b", K))}
    assert barrier.step(view(one, 10), 0.0) == passes("s.a")
    assert barrier.step(view(one, 10), 1.0) == []
    assert barrier.step(view(both, 10), 2.0) == passes("s.b")
    assert barrier.step(view(both, 10), 5.0) == passes("s.a")
    assert barrier.step(view(both, 10, sessions={"n1": 2}), 5.1) == passes("s.a", "s.b"), "what was sent may be lost"
    assert barrier.step(view(both, 10, sessions={"n1": 2}), 11.0) == passes("s.a", "s.b")


def test_a_write_that_counts_on_others_is_another_decision() -> None:
    barrier = DdlBarrier(repeat_seconds=5)

    def seen(generation: int) -> View:
        placed = {"*": ("n1", blocked("*", K)), "s.a": ("n1", status("s.a", offset=10, generation=generation))}
        return view(placed, 9)

    def write(generation: int) -> Command:
        return DecideBarrier("n1", K, dispatch_pb2.WRITE, ("*",), {"s.a": generation})

    assert barrier.step(seen(1), 0.0) == [write(1)]
    assert barrier.step(seen(2), 1.0) == [write(2)]
    assert barrier.step(seen(2), 5.9) == []


def test_a_write_that_has_had_no_effect_is_sent_again_and_the_sink_read_which_may_have_refused_it() -> None:
    barrier = DdlBarrier(repeat_seconds=5)
    seen = view({"*": ("n1", blocked("*", K)), "s.a": ("n1", blocked("s.a", K))}, 9)
    (write,) = barrier.step(seen, 0.0)
    assert barrier.step(seen, 5.0) == [write, ReadSink()]


def test_a_successor_decides_what_its_predecessor_decided() -> None:
    former = DdlBarrier(repeat_seconds=5)
    seen = view({"*": ("n1", blocked("*", K)), "s.a": ("n2", blocked("s.a", K))}, 9)
    first = former.step(seen, 0.0)
    assert first != []
    assert former.step(seen, 1.0) == []
    assert DdlBarrier(repeat_seconds=5).step(seen, 1.0) == first
