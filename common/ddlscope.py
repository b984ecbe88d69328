"""Which dispatchers a DDL concerns. Pure; a maintainer and the streams have to judge alike, or one waits for ever."""

from __future__ import annotations

from collections.abc import Iterable

from common.pb.v1 import model_pb2 as pb
from common.sinktables import SCHEMA_DISPATCHER


def touched(ddl: pb.Ddl, keys: Iterable[str]) -> frozenset[str]:
    """The dispatchers of `keys` that must be flushed before it; never the schema dispatcher."""
    tables = frozenset(keys) - {SCHEMA_DISPATCHER}
    return _named(ddl.touches, tables) if ddl.scope in (pb.TABLES, pb.SCHEMA) else tables


def dropped(ddl: pb.Ddl, keys: Iterable[str]) -> frozenset[str]:
    """The dispatchers of `keys` that end with it."""
    return _named(ddl.drops, frozenset(keys) - {SCHEMA_DISPATCHER})


def _named(names: Iterable[pb.TableName], keys: frozenset[str]) -> frozenset[str]:
    """A name without table means all of its schema."""
    exact = {f"{name.schema}.{name.table}" for name in names if name.table}
    schemas = tuple(f"{name.schema}." for name in names if not name.table)
    return frozenset(key for key in keys if key in exact or key.startswith(schemas))
