"""A session outlives members of etcd, and ends by the local clock before etcd ends the lease."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

from hedgerow.common.errors import SessionLost
from hedgerow.common.etcd import Etcd, EtcdConfig, Put, Session
from hedgerow.common.etcd.session import monotonic
from hedgerow.sandbox.etcd import EtcdCluster


class SkewedClock:
    """The local clock, which a test can move on."""

    def __init__(self) -> None:
        self.skew = 0.0

    def __call__(self) -> float:
        return monotonic() + self.skew


async def test_it_is_kept_alive_while_members_are_killed_and_frozen(
    cluster: EtcdCluster, etcd: Etcd, root: str
) -> None:
    session = await Session.open(etcd, 3)
    await etcd.txn([], [Put(f"{root}a", b"1", session.lease)])
    began = time.monotonic()
    cluster.freeze(0)
    await asyncio.sleep(2.5)
    cluster.thaw(0)
    cluster.kill(1)
    while time.monotonic() - began < 5.0:
        assert session.valid
        await asyncio.sleep(0.01)
    assert not session.lost.is_set()
    assert await etcd.get(f"{root}a") is not None
    await session.close()


async def test_it_is_lost_before_the_lease_ends_when_etcd_is_out_of_reach(cluster: EtcdCluster, root: str) -> None:
    async with Etcd(EtcdConfig(cluster.endpoints[:1])) as etcd:
        session = await Session.open(etcd, 2)
        cluster.freeze(0)
        began = time.monotonic()
        await session.lost.wait()
        lasted = time.monotonic() - began
        assert 1.0 < lasted <= 1.8, "0.8 of the TTL after the last acknowledged keepalive was sent"
        assert not session.valid
        with pytest.raises(SessionLost, match="no keepalive was acknowledged"):
            session.check()
        cluster.thaw(0)
        await session.close()


async def test_after_a_jump_of_the_clock_it_is_lost_at_once_and_for_good(etcd: Etcd) -> None:
    clock = SkewedClock()
    session = await Session.open(etcd, 3, clock=clock)
    assert session.valid
    clock.skew = 3.0
    assert not session.valid, "in the first instruction, before any task has run"
    await asyncio.wait_for(session.lost.wait(), 3.0)
    clock.skew = 0.0
    assert not session.valid
    await session.close()


async def test_a_suspension_is_noticed_though_timers_stood_still(etcd: Etcd) -> None:
    clock = SkewedClock()
    session = await Session.open(etcd, 30, clock=clock)
    await asyncio.sleep(0.1)  # its tasks have gone to sleep
    clock.skew = 30.0
    began = time.monotonic()
    await asyncio.wait_for(session.lost.wait(), 10.0)
    assert time.monotonic() - began < 1.0, "whoever waits for the loss fences the node"
    await session.close()


async def test_a_keepalive_that_finds_it_over_says_so(etcd: Etcd, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SkewedClock()

    async def sleeps_for_ever(self: Session) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Session, "_watch_clock", sleeps_for_ever)
    session = await Session.open(etcd, 3, clock=clock)
    clock.skew = 3.0
    await asyncio.wait_for(session.lost.wait(), 3.0)
    await session.close()


_CHILD = """
import asyncio, sys, threading, time
from hedgerow.common.etcd import Etcd, EtcdConfig, Session

def watch_for_thaw(session):
    before = time.monotonic()
    while True:
        time.sleep(0.002)
        now = time.monotonic()
        if now - before > 1.0:
            print("thawed", session.valid, session.lost.is_set(), flush=True)
            return
        before = now

async def main():
    async with Etcd(EtcdConfig(tuple(sys.argv[1].split(",")))) as etcd:
        session = await Session.open(etcd, 2)
        watcher = threading.Thread(target=watch_for_thaw, args=(session,))
        watcher.start()
        print(f"{session.lease:x}", session.valid, flush=True)
        await session.lost.wait()
        print("lost", session.reason, flush=True)
        await session.close()
        watcher.join()

asyncio.run(main())
"""


async def test_a_frozen_process_finds_it_lost_when_it_thaws(cluster: EtcdCluster) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-c", _CHILD, ",".join(cluster.endpoints),
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    try:
        assert (await child.stdout.readline()).decode().split()[1] == "True"
        os.kill(child.pid, signal.SIGSTOP)
        await asyncio.sleep(1.9)
        os.kill(child.pid, signal.SIGCONT)
        said = (await asyncio.wait_for(child.stdout.read(), 10)).decode()
        assert "thawed False" in said
        assert "lost" in said
        assert await child.wait() == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()


async def test_a_revoked_lease_is_noticed(etcd: Etcd) -> None:
    session = await Session.open(etcd, 2)
    await etcd.revoke_lease(session.lease)
    await asyncio.wait_for(session.lost.wait(), 1.5)
    assert not session.valid
    assert "lease is over" in session.reason
    await session.close()


async def test_close_revokes_the_lease(etcd: Etcd, root: str) -> None:
    session = await Session.open(etcd, 10)
    await etcd.txn([], [Put(f"{root}a", b"1", session.lease)])
    await session.close()
    assert not session.valid
    assert session.lost.is_set()
    assert await etcd.get(f"{root}a") is None
    await session.close()
