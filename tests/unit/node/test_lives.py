"""The lives of a node process: what ends one, what the next one waits out, and what a hand-over waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hedgerow import node
from hedgerow.common.config import NodeConfig
from hedgerow.common.control.membership import Membership
from hedgerow.common.control.security.build import Security
from hedgerow.common.errors import EtcdUnavailable, SessionLost
from hedgerow.common.etcd import Etcd, EtcdRefused, LeaseNotFound
from hedgerow.common.pb.v1 import model_pb2 as pb

FULL = EtcdRefused("etcd 127.0.0.1:2379 refused: mvcc: database space exceeded")


class FakeSession:
    def __init__(self) -> None:
        self.lease = 7
        self.lost = asyncio.Event()
        self.reason = ""

    def declare_lost(self, reason: str) -> None:
        self.reason = reason
        self.lost.set()


class FakeMembership:
    node = "n1"

    def __init__(self) -> None:
        self.session = FakeSession()
        self.info = SimpleNamespace(liveness=pb.ALIVE)
        self.members = SimpleNamespace(nodes={})
        self.closed = False
        self.set_liveness: Callable[[pb.Liveness], Awaitable[None]] = self._hang

    async def _hang(self, liveness: pb.Liveness) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> NodeConfig:
    monkeypatch.setattr(node, "_REJOIN_PAUSE_SECONDS", 0.0)
    return NodeConfig(name="n", listen="127.0.0.1:0", etcd=("127.0.0.1:1",))


def lives(monkeypatch: pytest.MonkeyPatch, joins: list[Exception | None]) -> list[str]:
    """Each join ends as the list says; the life after the last one is told to stop."""
    begun: list[str] = []

    async def join(etcd: Etcd, **_: Any) -> FakeMembership:
        outcome = joins.pop(0)
        if outcome is not None:
            raise outcome
        return FakeMembership()

    class Life:
        def __init__(self, *_: Any) -> None:
            begun.append("life")

        async def run(self, stop: Any) -> None:
            if not joins:
                stop.asked.set()

    async def revoke(etcd: Etcd, lease: int, *, timeout: float) -> None:
        begun.append(f"revoked {lease}")
        raise LeaseNotFound("requested lease not found")

    monkeypatch.setattr(Membership, "join", join)
    monkeypatch.setattr(Etcd, "revoke_lease", revoke)
    monkeypatch.setattr(node, "_Life", Life)
    return begun


@pytest.mark.parametrize(
    "refusal",
    [FULL, LeaseNotFound("requested lease not found"), SessionLost("the id is taken"), EtcdUnavailable("no answer")],
    ids=lambda error: type(error).__name__,
)
async def test_a_node_that_was_a_member_waits_until_etcd_takes_it_again(
    config: NodeConfig, monkeypatch: pytest.MonkeyPatch, refusal: Exception
) -> None:
    begun = lives(monkeypatch, [None, refusal, refusal, None])
    assert await node.run_node(config) == 0
    assert begun == ["life", "revoked 7", "life"]


async def test_an_etcd_that_refuses_the_first_join_is_an_error(
    config: NodeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    lives(monkeypatch, [FULL])
    with pytest.raises(EtcdRefused, match="space exceeded"):
        await node.run_node(config)


class FakeStop:
    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.at_once = asyncio.Event()


def life(config: NodeConfig, coordinate: Callable[[], Awaitable[None]]) -> tuple[Any, FakeMembership]:
    membership = FakeMembership()
    etcd = cast(Etcd, SimpleNamespace())
    found = node._Life(config, etcd, cast(Membership, membership), Security.build(config))
    found._coordinator = cast(Any, SimpleNamespace(run=coordinate))
    return found, membership


async def test_a_coordinator_that_finds_the_session_over_first_ends_the_life_and_not_the_process(
    config: NodeConfig,
) -> None:
    async def coordinate() -> None:
        raise SessionLost("the etcd session is over: not kept alive in time")

    found, membership = life(config, coordinate)
    await asyncio.wait_for(found.run(FakeStop()), 10)
    assert "not kept alive" in membership.session.reason
    assert membership.closed
    with pytest.raises(SessionLost, match="has stopped its dispatchers"):
        found._dispatch._check_serving()


async def test_a_defect_of_the_coordinator_is_not_hidden(config: NodeConfig) -> None:
    async def coordinate() -> None:
        raise KeyError("defect")

    found, _ = life(config, coordinate)
    with pytest.raises(KeyError):
        await asyncio.wait_for(found.run(FakeStop()), 10)


@pytest.mark.parametrize("cut", ["at_once", "lost"])
async def test_a_hand_over_that_etcd_holds_up_is_cut(config: NodeConfig, cut: str) -> None:
    found, membership = life(config, asyncio.Event().wait)  # type: ignore[arg-type]
    stop = FakeStop()
    stop.asked.set()
    running = asyncio.create_task(found.run(stop))
    await asyncio.sleep(0.05)
    assert not running.done(), "its liveness is being written"
    (stop.at_once if cut == "at_once" else membership.session.lost).set()
    await asyncio.wait_for(running, 10)
    assert membership.closed
