"""Whether the sink executes a DDL statement, given the changefeed's filter. Pure."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from hedgerow.common.mysql.filter import TableFilter
from hedgerow.common.mysql.names import TableName
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.ddl.model import Classified, DdlKind


class Action(enum.Enum):
    """SKIP: nothing of it is replicated. REFUSE: the changefeed stops with `Decision.reason`."""

    SKIP = "skip"
    EXECUTE = "execute"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, and why; the reason of a refusal says what the user can do."""

    action: Action
    reason: str = ""


def apply_filter(classified: Classified, table_filter: TableFilter) -> Decision:
    """Skip what lies outside of the filter, execute what lies inside, refuse what lies across or is not understood."""
    if classified.ignorable or classified.kind is DdlKind.TRANSACTION:
        return Decision(Action.SKIP, classified.reason)
    if classified.kind is DdlKind.DML:
        return Decision(Action.REFUSE, classified.reason)
    if classified.kind is DdlKind.UNKNOWN:
        # Also without a filter: of a table that it makes nobody would replicate the rows.
        return Decision(Action.REFUSE, f"{classified.reason}, so which tables it changes is unknown")
    if classified.scope == pb.SCHEMA and classified.drops:
        return _drop_schema(classified, table_filter)
    inside = [name for name in classified.changes if _matches(name, table_filter)]
    outside = [name for name in classified.changes if name not in inside]
    if not inside:
        return Decision(Action.SKIP, f"{_listed(outside)} lies outside of the filter")
    if outside:
        return Decision(
            Action.REFUSE,
            f"it changes {_listed(inside)} inside of the filter and {_listed(outside)} outside of it",
        )
    missing = [name for name in classified.needs if not _matches(name, table_filter)]
    if missing:
        return Decision(
            Action.REFUSE,
            f"{_listed(inside)} refers to {_listed(missing)}, which the filter leaves out",
        )
    names = (*classified.creates, *classified.changes)
    dotted = [
        name for name in names if "." in name.schema or ("." in name.table and classified.kind is not DdlKind.VIEW)
    ]
    if dotted:
        return Decision(
            Action.REFUSE,
            f"{_listed(dict.fromkeys(dotted))}: a name that has a dot in it cannot be told from another schema and "
            f"table. Leave it out with a filter rule, or rename it in the source",
        )
    return Decision(Action.EXECUTE)


def _drop_schema(classified: Classified, table_filter: TableFilter) -> Decision:
    schema = classified.drops[0].schema
    if table_filter.covers_schema(schema):
        return Decision(Action.EXECUTE)
    if not table_filter.matches_schema(schema):
        return Decision(Action.SKIP, f"schema {schema} lies outside of the filter")
    return Decision(
        Action.REFUSE,
        f"it drops schema {schema}, of which the filter leaves out some tables that the sink may have",
    )


def _matches(name: TableName, table_filter: TableFilter) -> bool:
    return table_filter.matches(*name) if name.table else table_filter.matches_schema(name.schema)


def _listed(names: Iterable[TableName]) -> str:
    return ", ".join(name.key if name.table else f"schema {name.schema}" for name in names)
