"""Changefeeds that would write to the same tables of one sink, as far as this cluster's own list tells. Pure.

Two of them would apply every change twice: rows of tables without a key are duplicated unnoticed. Preflight also
asks the sink's own list of tables, which knows of other clusters and of other names of the same server, but not of a
changefeed that has not begun; and a table that comes later is refused by that list when it comes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hedgerow.common.errors import Problem
from hedgerow.common.mysql.filter import TableFilter
from hedgerow.common.mysql.overlap import common_table
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.common.pb.v1 import model_pb2 as pb


def overlap_problems(
    name: str, sink: ServerUri, rules: Sequence[str], others: Iterable[pb.ChangefeedSpec]
) -> list[Problem]:
    """Why `name` cannot replicate these tables to `sink` beside these changefeeds. Servers are compared by address."""
    ours = TableFilter.parse(rules)
    problems = []
    for other in sorted(others, key=lambda spec: spec.name):
        if other.name == name or ServerUri.parse(other.sink).address != sink.address:
            continue
        theirs = TableFilter.parse(other.filter)
        table = common_table(ours, theirs)
        if table is not None:
            problems.append(
                Problem(
                    f"the filter ({ours}) and that of changefeed {other.name} ({theirs}) both match tables such as "
                    f"{'.'.join(table)} of the sink {sink.address}: every change of them would be applied twice",
                    f"choose filters that have no table in common, or remove changefeed {other.name} first",
                )
            )
    return problems
