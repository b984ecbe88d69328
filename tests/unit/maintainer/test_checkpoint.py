"""The checkpoint never promises what the sink does not have."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hedgerow.common.binlog.position import Position
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.maintainer.checkpoint import AppliedTotals, Checkpoint
from tests.unit.maintainer.builders import at, status

KEYS = ["s.a", "s.b", "*"]


@given(
    st.lists(st.tuples(st.sampled_from(KEYS), st.integers(1, 50)), max_size=40),
)
def test_it_is_the_least_position_and_never_goes_back(beats: list[tuple[str, int]]) -> None:
    checkpoint = Checkpoint("mariadb")
    truth = dict.fromkeys(KEYS, 1)
    checkpoint.set_dispatchers({key: at(1) for key in KEYS})
    reported = 0
    for key, offset in beats:
        truth[key] = max(truth[key], offset)
        checkpoint.observe([status(key, offset=offset)])
        found = checkpoint.advance()
        assert found is not None
        assert found.offset == min(truth.values()) >= reported
        reported = found.offset


def test_a_silent_dispatcher_holds_it() -> None:
    checkpoint = Checkpoint("mariadb")
    checkpoint.set_dispatchers({"s.a": at(5), "*": at(5)})
    checkpoint.observe([status("*", offset=9), status("s.a")])
    assert checkpoint.advance() == at(5)


def test_a_dispatcher_that_is_gone_does_not_hold_it() -> None:
    checkpoint = Checkpoint("mariadb")
    checkpoint.set_dispatchers({"s.a": at(5), "*": at(5)})
    checkpoint.observe([status("*", offset=9)])
    checkpoint.set_dispatchers({"*": at(7)})
    assert checkpoint.advance() == at(9)


def test_a_dispatcher_that_is_behind_what_was_reported_does_not_take_it_back() -> None:
    checkpoint = Checkpoint("mariadb")
    checkpoint.set_dispatchers({"*": at(9)})
    assert checkpoint.advance() == at(9)
    checkpoint.set_dispatchers({"*": at(9), "s.new": at(4)})
    assert checkpoint.advance() == at(9)


def test_it_advances_from_a_gtid_set_that_is_not_written_as_the_server_writes_it() -> None:
    uuid = "0A1B2C3D-0000-0000-0000-00000000000F"
    checkpoint = Checkpoint("mysql")
    checkpoint.set_dispatchers({"*": Position(f"{uuid}:1-3:4-5", "b.1", 100, "s")})
    checkpoint.observe(
        [pb.DispatcherStatus(dispatcher="*", position=Position(f"{uuid.lower()}:1-6", "b.1", 150, "s").write())]
    )
    assert checkpoint.advance() == Position(f"{uuid.lower()}:1-6", "b.1", 150, "s")


def test_there_is_none_before_there_are_dispatchers() -> None:
    assert Checkpoint("mariadb").advance() is None


def test_counters_begin_with_the_maintainer_and_outlive_a_restart_of_a_stream() -> None:
    applied = AppliedTotals()
    applied.adopt("n1", [status("s.a", rows=100)])
    applied.observe("n1", [status("s.a", rows=130)], 1000)
    applied.observe("n1", [status("s.a", rows=5)], 1300)
    applied.observe("n2", [status("s.a", generation=2, rows=7)], 0)
    applied.observe("n2", [status("s.a", generation=2, rows=7)], 50)
    applied.observe("n1", [status("s.a", rows=5)], 20)
    assert (applied.rows, applied.transactions) == (370, 42)
    applied.adopt("n1", [status("s.a", rows=5)])
    applied.observe("n1", [status("s.a", rows=5)], 500)
    assert (applied.rows, applied.transactions) == (370, 42)


def test_it_follows_the_source_to_another_server() -> None:
    former = Position("0-1-5", "a.000001", 500, "1", 1.0)
    checkpoint = Checkpoint("mariadb")
    checkpoint.set_dispatchers({"s.a": former, "s.b": former})
    assert checkpoint.advance() == former
    successor = Position("0-2-9", "b.000001", 40, "2", 2.0)
    checkpoint.observe([pb.DispatcherStatus(dispatcher="s.a", position=successor.write())])
    behind = checkpoint.advance()
    assert behind is not None
    assert (behind.gtid_set, behind.file) == ("0-1-5", "")
    checkpoint.observe([pb.DispatcherStatus(dispatcher="s.b", position=successor.write())])
    assert checkpoint.advance() == successor
