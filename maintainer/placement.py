"""Where the dispatchers of one changefeed belong: unit -> (node, lane). Pure, and the same answer for the same facts.

Stable first: a unit stays where it is while it may. Balanced by number of dispatchers: units move from a fuller node to
an emptier one only where that makes the difference smaller, so `choose_homes` of its own answer changes nothing. A unit
that a user has placed is not moved by balancing. The schema dispatcher replicates no rows: it counts nothing and goes
where most dispatchers are, so that a small changefeed needs one reader.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from hedgerow.common.ledger.schema import SCHEMA_DISPATCHER
from hedgerow.maintainer.colocation import Unit

SCHEMA_UNIT: Unit = frozenset((SCHEMA_DISPATCHER,))


@dataclass(frozen=True, slots=True)
class Home:
    """A node and a lane there."""

    node: str
    lane: int


def choose_homes(
    units: Sequence[Unit],
    nodes: Collection[str],
    current: Mapping[str, Home],
    lanes: int,
    pinned: Mapping[str, str] | None = None,
) -> dict[str, Home]:
    """The home of every dispatcher; empty where no node may host any.

    `nodes` may host dispatchers; `current` are the homes so far, also on other nodes; `pinned` maps a dispatcher to the
    node a user wants it on, which holds for its whole unit while that node may host it.
    """
    if not nodes:
        return {}
    pins = {unit: node for unit in units if (node := _pin(unit, pinned or {}, nodes)) is not None}
    where = {unit: node for unit in units if (node := pins.get(unit) or _present(unit, nodes, current)) is not None}
    load = Counter(dict.fromkeys(nodes, 0))
    for unit, node in where.items():
        load[node] += _weight(unit)
    for unit in sorted((u for u in units if u not in where and u != SCHEMA_UNIT), key=lambda u: (-len(u), min(u))):
        where[unit] = min(nodes, key=lambda node: (load[node], node))
        load[where[unit]] += len(unit)
    _balance(where, load, frozenset(pins))
    if SCHEMA_UNIT in units and SCHEMA_UNIT not in where:
        where[SCHEMA_UNIT] = min(nodes, key=lambda node: (-load[node], node))
    return _lanes(where, current, lanes)


def _weight(unit: Unit) -> int:
    return 0 if unit == SCHEMA_UNIT else len(unit)


def _pin(unit: Unit, pinned: Mapping[str, str], nodes: Collection[str]) -> str | None:
    return next((pinned[key] for key in sorted(unit) if pinned.get(key) in nodes), None)


def _present(unit: Unit, nodes: Collection[str], current: Mapping[str, Home]) -> str | None:
    """The node that most of the unit is on already."""
    counts = Counter(current[key].node for key in unit if key in current and current[key].node in nodes)
    return min(counts, key=lambda node: (-counts[node], node)) if counts else None


def _balance(where: dict[Unit, str], load: Counter[str], fixed: Collection[Unit]) -> None:
    """Each step lowers the sum of the squares of the loads, so it ends."""
    while True:
        by_load = sorted(load, key=lambda node: (-load[node], node))
        for fuller, emptier in ((a, b) for a in by_load for b in reversed(by_load) if load[a] - load[b] > 1):
            gap = load[fuller] - load[emptier]
            movable = [u for u, node in where.items() if node == fuller and u not in fixed and 0 < _weight(u) < gap]
            if movable:
                unit = min(movable, key=lambda u: (abs(gap - 2 * len(u)), min(u)))
                where[unit] = emptier
                load[fuller] -= len(unit)
                load[emptier] += len(unit)
                break
        else:
            return


def _lanes(where: Mapping[Unit, str], current: Mapping[str, Home], lanes: int) -> dict[str, Home]:
    """A unit keeps the lane that most of it has on its node."""
    homes: dict[str, Home] = {}
    used: Counter[Home] = Counter()
    waiting: list[Unit] = []
    for unit, node in where.items():
        home = _kept(unit, node, current, lanes)
        if unit == SCHEMA_UNIT and home is None:
            home = Home(node, 0)
        if home is None:
            waiting.append(unit)
            continue
        homes.update(dict.fromkeys(unit, home))
        used[home] += _weight(unit)
    for unit in sorted(waiting, key=lambda u: (-len(u), min(u))):
        home = min((Home(where[unit], lane) for lane in range(max(lanes, 1))), key=lambda h: (used[h], h.lane))
        homes.update(dict.fromkeys(unit, home))
        used[home] += len(unit)
    return homes


def _kept(unit: Unit, node: str, current: Mapping[str, Home], lanes: int) -> Home | None:
    here = Counter(current[key] for key in unit if key in current and current[key].node == node)
    usable = [home for home in here if home.lane < max(lanes, 1)]
    return min(usable, key=lambda home: (-here[home], home.lane), default=None)
