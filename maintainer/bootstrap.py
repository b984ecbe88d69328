"""What a new maintainer makes of what it finds: what the nodes run, and what the sink says is replicated. Pure.

- A dispatcher that has a progress row and runs on one node is adopted, and goes on without a pause.
- Of several that run for one key the highest incarnation is adopted, the others are removed; so is one whose generation
  is below the progress row's (the sink fences it already), and one whose table is no longer replicated.
- Removals that a predecessor has asked for are finished, so what they concern is not adopted.
- A broken dispatcher is placed anew: the new owner exists because someone decided to try again.
- A unit of several tables is placed anew: nobody can tell whether its dispatchers share a lane, which they must (a DDL
  or an update of the changefeed may just have tied them together).

What is not adopted and has a progress row is missing: placement creates it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from common.pb.v1 import dispatch_pb2
from common.pb.v1 import model_pb2 as pb
from common.sinktables import ProgressRow
from maintainer.placement import Home
from maintainer.units import Unit


@dataclass(frozen=True, slots=True)
class Inventory:
    """What one node runs for the changefeed, as its Bootstrap answered."""

    dispatchers: Sequence[pb.DispatcherStatus] = ()
    removing: Collection[str] = ()

    @classmethod
    def read(cls, response: dispatch_pb2.BootstrapResponse) -> Inventory:
        return cls(tuple(response.dispatchers), frozenset(placement.dispatcher for placement in response.removing))


@dataclass(frozen=True, slots=True)
class Adoption:
    """`homes`: what is adopted, each in an unknown (negative) lane of its own. `generations`: the highest seen."""

    homes: dict[str, Home] = field(default_factory=dict)
    generations: dict[str, int] = field(default_factory=dict)


def adopt(inventories: Mapping[str, Inventory], rows: Sequence[ProgressRow], units: Sequence[Unit]) -> Adoption:
    """Generations only grow, over epochs too, so they order incarnations even where a node has raised its epoch."""
    generations = {row.dispatcher: row.generation for row in rows}
    best: dict[str, tuple[int, int, str]] = {}
    for node, inventory in sorted(inventories.items()):
        for status in inventory.dispatchers:
            key = status.dispatcher
            if key in inventory.removing or status.state == pb.BROKEN:
                continue
            if key not in generations or status.generation < generations[key]:
                continue
            best[key] = max(best.get(key, (0, 0, "")), (status.generation, status.epoch, node))
    homes: dict[str, Home] = {}
    for lane, unit in enumerate(units, start=1):
        (key, *others) = unit
        if not others and key in best:
            homes[key] = Home(best[key][2], -lane)
    for inventory in inventories.values():
        for status in inventory.dispatchers:
            generations[status.dispatcher] = max(generations.get(status.dispatcher, 0), status.generation)
    return Adoption(homes, generations)
