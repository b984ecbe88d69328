"""Operations compose: each sees the same facts, none knows of another, and the core knows none of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hedgerow.common.pb.v1 import dispatch_pb2
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.maintainer.bootstrap import Inventory
from hedgerow.maintainer.core import Core
from hedgerow.maintainer.operations.api import Command, DecideBarrier, Operation, ReadSink, View, together
from hedgerow.maintainer.operations.barrier import DdlBarrier
from hedgerow.maintainer.store import SinkView
from tests.unit.maintainer.builders import ddl_at, row, status, view
from tests.unit.maintainer.operations.another import Reread

K = ddl_at(10, "s.a")
PASSED = DecideBarrier("n1", K, dispatch_pb2.PASS, ("s.a",))


@dataclass
class Recorder:
    """Keeps what it sees, which an operation must not."""

    seen: list[View] = field(default_factory=list)

    def step(self, view: View, now: float) -> Sequence[Command]:
        self.seen.append(view)
        return []


def test_the_commands_of_two_come_in_their_order_and_neither_changes_the_others() -> None:
    def barrier_and_reread() -> tuple[Operation, Operation]:
        return DdlBarrier(5.0), Reread(2.0)

    at_k = view({"*": ("n1", status("*", offset=10)), "s.a": ("n1", status("s.a", blocked=K, offset=9))}, 10)
    barrier, reread = barrier_and_reread()
    assert together([barrier, reread], at_k, 0.0) == (PASSED, ReadSink())
    assert together([barrier, reread], at_k, 1.0) == ()
    assert together([barrier, reread], at_k, 2.0) == (ReadSink(),)
    barrier, reread = barrier_and_reread()
    assert together([reread, barrier], at_k, 0.0) == (ReadSink(), PASSED)
    assert together([], at_k, 0.0) == ()


def test_the_core_gives_all_of_them_one_view_and_returns_what_they_say() -> None:
    first, last = Recorder(), Recorder()
    core = Core("u", pb.ChangefeedOptions(lanes=1), "mariadb", [first, DdlBarrier(5.0), Reread(2.0), last])
    statuses = [status("*", offset=10), status("s.a", blocked=K, offset=9)]
    core.enter("n1", Inventory(statuses, ()), 7)
    core.view_begins()
    core.begin(SinkView((row("*", offset=10), row("s.a", offset=9)), ()), 8)
    step = core.step({"n1"}, {"n1"}, 0.0)
    assert step.orders == {}
    assert step.commands == (PASSED, ReadSink())
    (seen,) = first.seen
    assert last.seen == [seen]
    assert (seen.dispatchers, seen.blocked, seen.sessions) == ({"*", "s.a"}, {"s.a"}, {"n1": 7})
    assert seen.placed == {one.dispatcher: ("n1", one) for one in statuses}
    assert seen.list_is_latest
    assert seen.is_settled("s.a")
    assert not step.must_read
    core.ask_for_view()  # as the shell does with ReadSink
    assert core.step({"n1"}, {"n1"}, 1.0).must_read


def test_a_node_that_was_bootstrapped_again_has_another_session() -> None:
    recorder = Recorder()
    core = Core("u", pb.ChangefeedOptions(lanes=1), "mariadb", [recorder])
    core.enter("n1", Inventory([status("*", offset=1)], ()), 1)
    core.view_begins()
    core.begin(SinkView((row("*"),), ()), 2)
    core.step({"n1"}, {"n1"}, 0.0)
    core.step({"n1"}, set(), 1.0)
    core.enter("n1", Inventory([status("*", offset=1)], ()), 3)
    core.step({"n1"}, {"n1"}, 2.0)
    assert [seen.sessions for seen in recorder.seen] == [{"n1": 1}, {}, {"n1": 3}]
