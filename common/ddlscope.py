"""Which DDL it is, and which dispatchers it concerns. Pure; a maintainer, the streams and the sink have to judge alike,
or one waits for ever."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from hedgerow.common.ledger.schema import SCHEMA_DISPATCHER
from hedgerow.common.pb.v1 import model_pb2 as pb

DdlId = tuple[str, str, str, int]


def ddl_id(ddl: pb.Ddl) -> DdlId:
    """What tells one DDL from another: its GTID, which is the same on every server of a topology (file and offset are
    not, so two streams may meet it at two places). Without one, server, file and offset."""
    if ddl.gtid:
        return ddl.gtid, "", "", 0
    return "", ddl.position.source_id, ddl.position.file, ddl.position.offset


def touched(ddl: pb.Ddl, keys: Collection[str]) -> frozenset[str]:
    """The dispatchers of `keys` that must be flushed before it; never the schema dispatcher."""
    exact = exactly_touched(ddl)
    if exact is not None:  # as most are: what it costs does not depend on how many keys there are
        return frozenset(key for key in exact if key in keys)
    tables = frozenset(keys) - {SCHEMA_DISPATCHER}
    return _named(ddl.touches, tables) if ddl.scope in (pb.TABLES, pb.SCHEMA) else tables


def exactly_touched(ddl: pb.Ddl) -> frozenset[str] | None:
    """The keys of which `touched` are some; None where only all keys can tell."""
    if ddl.scope != pb.TABLES or not all(name.table for name in ddl.touches):
        return None
    return frozenset(f"{name.schema}.{name.table}" for name in ddl.touches)


def dropped(ddl: pb.Ddl, keys: Iterable[str]) -> frozenset[str]:
    """The dispatchers of `keys` that end with it."""
    return _named(ddl.drops, frozenset(keys) - {SCHEMA_DISPATCHER})


def created(ddl: pb.Ddl) -> frozenset[str]:
    """The dispatchers that begin with it, where they are not there already."""
    return frozenset(f"{name.schema}.{name.table}" for name in ddl.creates)


def _named(names: Iterable[pb.TableName], keys: frozenset[str]) -> frozenset[str]:
    """A name without table means all of its schema."""
    exact = {f"{name.schema}.{name.table}" for name in names if name.table}
    schemas = tuple(f"{name.schema}." for name in names if not name.table)
    return frozenset(key for key in keys if key in exact or key.startswith(schemas))
