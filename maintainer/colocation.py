"""Which dispatchers must share a node and a lane.

A cascade of a foreign key is executed by the sink's engine and is not in the binlog, so tables tied by foreign keys
are applied in one order: they form a unit. With consistency TRANSACTION all tables are one. The schema dispatcher
replicates no rows and is always a unit of its own. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from hedgerow.common.ledger.schema import SCHEMA_DISPATCHER
from hedgerow.common.pb.v1 import model_pb2 as pb

Unit = frozenset[str]


def make_units(keys: Collection[str], edges: Iterable[tuple[str, str]], consistency: pb.Consistency) -> list[Unit]:
    """Partition dispatcher keys into units, in a stable order.

    `edges` are (child, parent) keys in the sink; one that passes through a table that is not replicated ties as well,
    because the sink's engine cascades through it.
    """
    root: dict[str, str] = {}

    def find(key: str) -> str:
        while (parent := root.setdefault(key, key)) != key:
            root[key] = root[parent]
            key = parent
        return key

    for child, parent in edges:
        root[find(child)] = find(parent)
    groups: dict[str, set[str]] = {}
    for key in keys:
        if key == SCHEMA_DISPATCHER:
            continue
        groups.setdefault("" if consistency == pb.TRANSACTION else find(key), set()).add(key)
    units = [frozenset(group) for group in groups.values()]
    if SCHEMA_DISPATCHER in keys:
        units.append(frozenset((SCHEMA_DISPATCHER,)))
    return sorted(units, key=min)
