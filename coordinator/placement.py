"""Which node maintains a changefeed: the one with the fewest maintainers. Pure and deterministic.

Two coordinators that see the same members choose the same node; ties go to the smallest node id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def choose(loads: Mapping[str, int], *, avoid: Iterable[str] = ()) -> str | None:
    """The node with the fewest maintainers that is not in `avoid`, or None. `loads`: their number by node id."""
    avoided = set(avoid)
    return min((node for node in loads if node not in avoided), key=lambda node: (loads[node], node), default=None)


def imbalance(loads: Mapping[str, int]) -> tuple[str, str] | None:
    """(from, to) where moving one maintainer makes the loads more even: they differ by 2 or more. None: even enough."""
    least = choose(loads)
    if least is None:
        return None
    most = min(loads, key=lambda node: (-loads[node], node))
    return (most, least) if loads[most] - loads[least] >= 2 else None
