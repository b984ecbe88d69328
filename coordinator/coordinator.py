"""A node's candidacy for coordinator, for as long as its session lasts.

Campaign, term, resign, and again. What ends a term (a lost term, an etcd that does not answer or refuses, a defect)
ends only the term; a lost session ends `run`, because the node must fence itself and come back as a new one. While
another node coordinates, this one watches it (probe.py).
"""

from __future__ import annotations

import asyncio
import contextlib

import structlog

from hedgerow.common.control.membership import Membership
from hedgerow.common.control.rpc import Peers
from hedgerow.common.errors import EtcdUnavailable, HedgerowError, SessionLost, TermLost
from hedgerow.common.etcd import Etcd, EtcdRefused, Leadership, Mirror
from hedgerow.common.etcd import prefix as keys_under
from hedgerow.common.ids import Keys
from hedgerow.coordinator import metrics
from hedgerow.coordinator.term import CoordinatorConfig, Term, first_cause
from hedgerow.coordinator.watch.probe import probe_coordinator

log = structlog.get_logger()

_PAUSE_SECONDS = 0.5


class Coordinator:
    """One for each membership."""

    def __init__(
        self,
        membership: Membership,
        etcd: Etcd,
        keys: Keys,
        peers: Peers,
        config: CoordinatorConfig | None = None,
    ) -> None:
        self.config = config or CoordinatorConfig()
        self._membership = membership
        self._etcd = etcd
        self._keys = keys
        self._peers = peers
        self._term: Term | None = None

    @property
    def term(self) -> Term | None:
        """The present term, while this node coordinates and knows the members."""
        return self._term if self._term is not None and self._term.ready else None

    async def run(self) -> None:
        """Campaigns for ever. Cancelled, it resigns. Raises SessionLost when the node's session is over."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._campaign(), name="coordinator-campaign")
                group.create_task(
                    probe_coordinator(self._membership, self._peers, self.config.watch.grace), name="coordinator-probe"
                )
        except BaseExceptionGroup as failed:
            self._membership.session.check()
            raise first_cause(failed) from None

    async def _campaign(self) -> None:
        election = self._membership.election
        while True:
            try:
                leadership = await election.campaign()
            except (EtcdUnavailable, EtcdRefused) as error:
                log.warning("campaign-failed", error=str(error))
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            pause = 0.0
            try:
                await self._lead(leadership)
            except SessionLost:
                raise
            except TermLost as error:
                log.warning("term-ended", term=leadership.term, error=str(error))
            except HedgerowError as error:
                log.warning("term-ended", term=leadership.term, error=str(error))
                pause = _PAUSE_SECONDS
            except Exception:
                log.exception("term-ended", term=leadership.term)
                pause = _PAUSE_SECONDS
            finally:
                with contextlib.suppress(HedgerowError):  # the candidacy ends with the session
                    await election.resign(leadership)
            await asyncio.sleep(pause)
            self._membership.session.check()

    async def _lead(self, leadership: Leadership) -> None:
        log.info("elected", node=self._membership.node, term=leadership.term)
        mirror = await Mirror.open(self._etcd, keys_under(self._keys.changefeeds))
        try:
            self._term = Term(self._membership, leadership, mirror, self._keys, self._peers, self.config)
            metrics.TERM.set(leadership.term)
            await self._term.run()
        finally:
            self._term = None
            metrics.TERM.set(0)
            await mirror.close()
