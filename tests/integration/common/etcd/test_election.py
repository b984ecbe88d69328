"""One leader at a time, terms that grow, and a deposed leader that cannot write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from hedgerow.common.errors import SessionLost, TermLost
from hedgerow.common.etcd import Election, Etcd, Mirror, Put, Session, absent, modified_at, prefix


class Candidate:
    def __init__(self, session: Session, mirror: Mirror, election: Election) -> None:
        self.session = session
        self.mirror = mirror
        self.election = election


class Candidates:
    """Opens candidates and closes them in order."""

    def __init__(self, etcd: Etcd, root: str) -> None:
        self._etcd = etcd
        self._prefix = f"{root}election/"
        self.stack = AsyncExitStack()

    async def open(self, node: str, ttl: int = 10) -> Candidate:
        mirror = await Mirror.open(self._etcd, prefix(self._prefix))
        self.stack.push_async_callback(mirror.close)
        session = await Session.open(self._etcd, ttl)
        self.stack.push_async_callback(session.close)
        return Candidate(session, mirror, Election(self._etcd, session, mirror, self._prefix, node))


@pytest.fixture
async def candidates(etcd: Etcd, root: str) -> AsyncIterator[Candidates]:
    opened = Candidates(etcd, root)
    async with opened.stack:
        yield opened


async def test_the_next_candidate_leads_when_the_leader_resigns(candidates: Candidates) -> None:
    a, b = await candidates.open("a"), await candidates.open("b")
    first = await a.election.campaign()
    waiting = asyncio.create_task(b.election.campaign())
    done, _ = await asyncio.wait((waiting,), timeout=0.2)
    assert not done
    leader = b.election.leader()
    assert leader is not None
    assert (leader.value, leader.create_revision) == (b"a", first.term)
    await a.election.resign(first)
    second = await asyncio.wait_for(waiting, 5)
    assert second.term > first.term
    await asyncio.wait_for(a.election.over(first), 5)
    again = asyncio.create_task(a.election.campaign())
    await b.session.close()
    assert (await asyncio.wait_for(again, 5)).term > second.term


async def test_a_deposed_leader_cannot_write_though_it_does_not_know_yet(
    candidates: Candidates, etcd: Etcd, root: str
) -> None:
    a, b = await candidates.open("a"), await candidates.open("b")
    first = await a.election.campaign()
    key = f"{root}owned"
    revision = (await first.txn([absent(key)], [Put(key, b"a")])).revision
    await etcd.revoke_lease(a.session.lease)
    assert a.session.valid, "as after a thaw: the local clock has seen nothing"
    with pytest.raises(TermLost, match=f"term {first.term} is over"):
        await first.txn([modified_at(key, revision)], [Put(key, b"zombie")])
    second = await asyncio.wait_for(b.election.campaign(), 5)
    assert (await second.txn([modified_at(key, revision)], [Put(key, b"b")])).succeeded
    with pytest.raises(TermLost):
        await first.txn([modified_at(key, revision)], [Put(key, b"zombie")])
    item = await etcd.get(key)
    assert item is not None
    assert item.value == b"b"


async def test_a_leader_whose_read_is_old_is_told_what_is_there(candidates: Candidates, etcd: Etcd, root: str) -> None:
    a = await candidates.open("a")
    leadership = await a.election.campaign()
    key = f"{root}owned"
    revision = (await etcd.txn([], [Put(key, b"theirs")])).revision
    result = await leadership.txn([absent(key)], [Put(key, b"mine")])
    assert not result.succeeded
    found = result.found[key]
    assert found is not None
    assert (found.value, found.mod_revision) == (b"theirs", revision)


async def test_a_leader_without_a_session_does_not_even_try(candidates: Candidates, root: str) -> None:
    a = await candidates.open("a")
    leadership = await a.election.campaign()
    a.session.declare_lost("test")
    with pytest.raises(SessionLost):
        await leadership.txn([absent(f"{root}x")], [Put(f"{root}x", b"")])
    with pytest.raises(SessionLost):
        await a.election.campaign()


async def test_a_candidate_that_stops_waiting_is_no_candidate_any_more(candidates: Candidates) -> None:
    a, b = await candidates.open("a"), await candidates.open("b")
    first = await a.election.campaign()
    waiting = asyncio.create_task(b.election.campaign())
    await asyncio.wait_for(a.mirror.until(lambda snapshot: len(snapshot.items) == 2), 5)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    left = await asyncio.wait_for(a.mirror.until(lambda snapshot: len(snapshot.items) == 1), 5)
    assert set(left.items) == {first.key}


async def test_a_candidate_whose_session_ends_stops_waiting(candidates: Candidates, etcd: Etcd) -> None:
    a, b = await candidates.open("a"), await candidates.open("b", ttl=2)
    await a.election.campaign()
    waiting = asyncio.create_task(b.election.campaign())
    await asyncio.wait_for(a.mirror.until(lambda snapshot: len(snapshot.items) == 2), 5)
    await etcd.revoke_lease(b.session.lease)
    with pytest.raises(SessionLost):
        await asyncio.wait_for(waiting, 5)


async def test_campaigning_again_continues_the_same_term(candidates: Candidates) -> None:
    a = await candidates.open("a")
    first = await a.election.campaign()
    assert await a.election.campaign() == first
