"""One term of one coordinator: sees the changefeeds and the nodes, decides, and has the decisions carried out.

It begins with nothing in memory and reads everything from etcd and from the nodes. It ends when it is cancelled, or by
itself as soon as anything tells that the term is over: etcd refuses a write, the session is lost, the election key is
gone, or a node knows a newer term. Its end cancels every task of it; a write that was under way is guarded by the term.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from hedgerow.common.control.membership import Membership
from hedgerow.common.control.rpc import Peers
from hedgerow.common.errors import HedgerowError, TermLost
from hedgerow.common.etcd import Leadership, Mirror
from hedgerow.common.ids import Keys
from hedgerow.common.pb.v1 import maintainer_pb2 as mpb
from hedgerow.common.signal import Signal
from hedgerow.coordinator import metrics
from hedgerow.coordinator.cache import ChangefeedCache
from hedgerow.coordinator.changefeed import Changefeed
from hedgerow.coordinator.executor import Executor
from hedgerow.coordinator.placement import choose, imbalance
from hedgerow.coordinator.reconcile import SeenNode, World, current_status, node_loads, reconcile, reported, settled
from hedgerow.coordinator.store import ChangefeedStore
from hedgerow.coordinator.watch.lags import ClusterLags
from hedgerow.coordinator.watch.nodes import NodeWatch, WatchConfig

log = structlog.get_logger()

_T = TypeVar("_T")
# Reports that arrive together are looked at together.
_GATHER_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class CoordinatorConfig:
    """Seconds."""

    watch: WatchConfig = field(default_factory=WatchConfig)
    call_timeout: float = 5.0  # of one call to a node, and of one write to etcd
    tick: float = 0.5  # decide at least this often: a retry may have become due


class Term:
    """Valid while `run` runs."""

    def __init__(
        self,
        membership: Membership,
        leadership: Leadership,
        mirror: Mirror,
        keys: Keys,
        peers: Peers,
        config: CoordinatorConfig,
    ) -> None:
        """`mirror` covers the changefeeds, and was opened after the election was won."""
        self.number = leadership.term
        self.membership = membership
        self.config = config
        self.store = ChangefeedStore(leadership, keys)
        self.signal = Signal()
        self.table = ChangefeedCache(mirror, keys.changefeeds, self.signal.notify)
        self.watches: dict[str, NodeWatch] = {}
        self.lags = ClusterLags()
        self._leadership = leadership
        self._peers = peers
        self.ready = False  # the members are known
        self._over = False
        self._rebalance = True
        self._executor: Executor | None = None

    async def run(self) -> None:
        """Raises what ended the term: TermLost, SessionLost, or what etcd refused."""
        try:
            async with asyncio.TaskGroup() as group:
                self._executor = Executor(
                    self.store,
                    self.table,
                    self.watches.get,
                    group,
                    self.signal.notify,
                    self.config.call_timeout,
                    self.lags.current_as_of,
                )
                group.create_task(self.table.follow(), name="coordinator-changefeeds")
                group.create_task(self._follow_members(group), name="coordinator-members")
                group.create_task(self._end_with_term(), name="coordinator-term")
                group.create_task(self._decide(self._executor), name="coordinator-decide")
        except BaseExceptionGroup as failed:
            raise first_cause(failed) from None
        finally:
            self._over = True
            self.signal.notify()
            metrics.clear()

    def world(self) -> World:
        """What a decision depends on, now."""
        members = self.membership.members.nodes
        nodes = {
            node: SeenNode(node, info.liveness, watch.suspected, watch.report)
            for node, info in members.items()
            if (watch := self.watches.get(node)) is not None
        }
        executor = self._executor
        return World(
            self.table.changefeeds,
            nodes,
            time.time(),
            saved_at=executor.saved_at if executor else {},
            refused=executor.refused if executor else {},
            rebalance=self._rebalance,
        )

    def live(self, changefeed: Changefeed) -> mpb.MaintainerStatus | None:
        """What the owner on record reports at the epoch on record."""
        watch = self.watches.get(changefeed.ownership.node)
        return current_status(watch.report, changefeed) if watch is not None else None

    def place(self, preferred: str = "") -> str | None:
        """A node for new work: `preferred` where it may be given work, else the one with the fewest maintainers."""
        loads = node_loads(self.world())
        return preferred if preferred in loads else choose(loads)

    async def until(self, look: Callable[[], _T | None], timeout: float) -> _T | None:
        """What `look` returns as soon as it is not None; None after `timeout` seconds. Raises TermLost."""
        deadline = time.monotonic() + timeout
        while True:
            if self._over:
                raise TermLost(f"term {self.number} ended while waiting")
            seen = self.signal.version
            if (found := look()) is not None:
                return found
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            await self.signal.wait(seen, left)

    async def _decide(self, executor: Executor) -> None:
        shown = 0.0
        while True:
            seen = self.signal.version
            world = self.world()
            uids = {changefeed.uid for changefeed in world.changefeeds.values()}
            executor.forget(uids, set(world.changefeeds))
            self.lags.forget(uids)
            live = {
                name: status
                for name, changefeed in world.changefeeds.items()
                if (status := reported(world, changefeed))
            }
            for name, status in live.items():
                changefeed = world.changefeeds[name]
                self.lags.take(changefeed, status, self.watches[changefeed.ownership.node].reported_at)
            for decision in reconcile(world):
                executor.start(world.changefeeds[decision.name], decision)
            if self._rebalance and settled(world) and imbalance(node_loads(world)) is None:
                self._rebalance = False
            if time.monotonic() - shown >= self.config.tick:
                shown = time.monotonic()
                now = time.time()
                lags = {
                    name: self.lags.of(changefeed, live.get(name), now)
                    for name, changefeed in world.changefeeds.items()
                }
                metrics.show(world.changefeeds, lags)
            await self.signal.wait(seen, self.config.tick)
            await asyncio.sleep(_GATHER_SECONDS)

    async def _follow_members(self, group: asyncio.TaskGroup) -> None:
        tasks: dict[str, asyncio.Task[None]] = {}
        members = self.membership.members
        while True:
            for node, info in members.nodes.items():
                if node not in tasks:
                    self._rebalance = True
                    watch = self._watch(node)
                    self.watches[node] = watch
                    tasks[node] = group.create_task(watch.run(), name=f"watch-{node}")
                self.watches[node].info = info
            for node in set(tasks) - set(members.nodes):
                log.info("node-gone", node=node)
                tasks.pop(node).cancel()
                del self.watches[node]
            self.ready = True
            self.signal.notify()
            members = await self.membership.changed(members.revision)

    def _watch(self, node: str) -> NodeWatch:
        async def refused() -> None:
            if node != self.membership.node:
                with contextlib.suppress(HedgerowError):  # its lease ends by itself
                    await self.membership.suspect_dead(node)

        info = self.membership.members.nodes[node]
        return NodeWatch(info, self.number, self._peers, self.signal.notify, refused, self.config.watch)

    async def _end_with_term(self) -> None:
        await self.membership.election.over(self._leadership)
        self._leadership.session.check()
        raise TermLost(f"term {self.number} is over: the election key is gone")


def left(deadline: float) -> float:
    """Seconds until `deadline`, on time.monotonic(). A little is always given: what is there already is seen."""
    return max(0.05, deadline - time.monotonic())


def first_cause(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that ended the others: a defect before an error of ours."""
    leaves = list(_leaves(failed))
    return next((error for error in leaves if not isinstance(error, HedgerowError)), leaves[0])


def _leaves(failed: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in failed.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
