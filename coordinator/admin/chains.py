"""Changefeeds that would hang together in a chain, as far as this cluster's own list tells. Pure.

A stream skips what changefeeds have applied in its source: that keeps opposite directions from looping, and would keep
what came to B from A from going on to C. Preflight asks the source's own tables, which know of other clusters as well,
but not of a changefeed that has not begun, and not of those that start from the new one's sink.
"""

from __future__ import annotations

from collections.abc import Iterable

from hedgerow.common.errors import Problem
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.common.pb.v1 import model_pb2 as pb


def chain_problems(name: str, source: ServerUri, sink: ServerUri, others: Iterable[pb.ChangefeedSpec]) -> list[Problem]:
    """Why `name` cannot replicate from `source` to `sink` beside these changefeeds. Servers are compared by address;
    opposite directions between the same two are no chain."""
    problems = []
    for other in sorted(others, key=lambda spec: spec.name):
        if other.name == name:
            continue
        theirs, ours = ServerUri.parse(other.source), ServerUri.parse(other.sink)
        if ours.address == source.address and theirs.address != sink.address:
            problems.append(
                Problem(
                    f"the source {source.address} is itself the sink of changefeed {other.name}, from "
                    f"{theirs.address}: what that one applies would be skipped, because chains are not supported",
                    f"replicate from {theirs.address} to {sink.address}, or remove changefeed {other.name} first",
                )
            )
        if theirs.address == sink.address and ours.address != source.address:
            problems.append(
                Problem(
                    f"the sink {sink.address} is itself the source of changefeed {other.name}, to {ours.address}: that "
                    f"one would skip what {name} applies, because chains are not supported",
                    f"replicate from {source.address} to {ours.address}, or remove changefeed {other.name} first",
                )
            )
    return problems
