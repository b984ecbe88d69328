"""What a new maintainer makes of what it finds: what the nodes run, and what the sink says is replicated. Pure.

- A dispatcher that has a progress row and runs on one node is adopted, and goes on without a pause.
- Of several that run for one key the highest incarnation is adopted, the others are removed; so is one whose generation
  is below the progress row's (the sink fences it already), and one whose table is no longer replicated.
- Removals that a predecessor has asked for are finished, so what they concern is not adopted.
- A broken dispatcher is placed again: the new owner exists because someone decided to try again. So is one that a DDL
  has ended, where the sink lists a table of its name again.
- A unit is adopted where all of it that runs shares a node and a lane, as it must. Where it does not (a DDL or an
  update of the changefeed may just have tied its tables together) all of it is placed again.

What is not adopted and has a progress row is missing: placement creates it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from hedgerow.common.ledger.progress import ProgressRow
from hedgerow.common.options import actual_lane
from hedgerow.common.pb.v1 import dispatch_pb2
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.maintainer.colocation import Unit
from hedgerow.maintainer.placement import Home


@dataclass(frozen=True, slots=True)
class Inventory:
    """What one node runs for the changefeed, as its Bootstrap answered."""

    dispatchers: Sequence[pb.DispatcherStatus] = ()
    removing: Collection[str] = ()

    @classmethod
    def read(cls, response: dispatch_pb2.BootstrapResponse) -> Inventory:
        return cls(tuple(response.dispatchers), frozenset(placement.dispatcher for placement in response.removing))

    def after(self, beat: dispatch_pb2.HeartbeatResponse) -> Inventory:
        """What it runs now."""
        if not beat.changes:
            return Inventory(tuple(beat.dispatchers), self.removing)
        gone = {placement.dispatcher for placement in beat.gone}
        known = {status.dispatcher: status for status in self.dispatchers if status.dispatcher not in gone}
        known.update((status.dispatcher, status) for status in beat.dispatchers)
        return Inventory(tuple(known.values()), self.removing)

    def serves(self, status: pb.DispatcherStatus) -> bool:
        """Whether one of `dispatchers` may go on as it is."""
        return status.dispatcher not in self.removing and status.state not in (pb.BROKEN, pb.ENDED)


@dataclass(frozen=True, slots=True)
class Adoption:
    """`homes`: what is adopted. `generations`: the highest seen."""

    homes: dict[str, Home] = field(default_factory=dict)
    generations: dict[str, int] = field(default_factory=dict)


def adopt(
    inventories: Mapping[str, Inventory], rows: Sequence[ProgressRow], units: Sequence[Unit], lanes: int
) -> Adoption:
    """Generations only grow, over epochs too, so they order incarnations even where a node has raised its epoch."""
    generations = {row.dispatcher: row.generation for row in rows}
    for inventory in inventories.values():
        for status in inventory.dispatchers:
            generations[status.dispatcher] = max(generations.get(status.dispatcher, 0), status.generation)
    best: dict[str, tuple[int, str, int]] = {}
    for node, inventory in sorted(inventories.items()):
        for status in inventory.dispatchers:
            key = status.dispatcher
            if inventory.serves(status) and status.generation == generations[key]:
                best[key] = max(best.get(key, (0, "", 0)), (status.epoch, node, status.lane))
    homes: dict[str, Home] = {}
    for unit in units:
        found = {key: Home(best[key][1], actual_lane(best[key][2], lanes)) for key in unit if key in best}
        if len(set(found.values())) == 1:
            homes.update(found)
    return Adoption(homes, generations)
