"""Reads and checks a user's settings for a changefeed: nothing is passed on unchecked. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hedgerow.common.errors import BadInput
from hedgerow.common.mysql.filter import TableFilter
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.common.options import LEAST, MOST
from hedgerow.common.pb.v1 import admin_pb2 as apb
from hedgerow.common.pb.v1 import model_pb2 as pb

SKIPS_KEPT = 50


def read_options(asked: pb.ChangefeedOptions, base: pb.ChangefeedOptions) -> pb.ChangefeedOptions:
    """`base`, with what `asked` sets. Raises BadInput that names every option out of its bounds."""
    merged = pb.ChangefeedOptions()
    merged.CopyFrom(base)
    merged.MergeFrom(asked)
    wrong = [
        f"{name} is {value}, but must be from {LEAST[name]} to {MOST[name]}"
        for name in MOST
        if not LEAST[name] <= (value := int(getattr(merged, name))) <= MOST[name]
    ]
    if merged.consistency not in (pb.TABLE, pb.TRANSACTION):
        wrong.append(f"consistency {merged.consistency} is not known; choose table or transaction")
    if wrong:
        raise BadInput("; ".join(wrong))
    return merged


def read_source_and_sink(source: str, sink: str) -> tuple[ServerUri, ServerUri]:
    """Raises BadInput."""
    read = ServerUri.parse(source), ServerUri.parse(sink)
    if (read[0].host, read[0].port) == (read[1].host, read[1].port):
        raise BadInput(f"source and sink are the same server, {read[0].address}; name two different ones")
    return read


def updated_spec(spec: pb.ChangefeedSpec, request: apb.UpdateChangefeedRequest) -> pb.ChangefeedSpec:
    """`spec` with what the request sets, canonical. Raises BadInput."""
    changed = pb.ChangefeedSpec()
    changed.CopyFrom(spec)
    source = request.source if request.HasField("source") else spec.source
    sink = request.sink if request.HasField("sink") else spec.sink
    uris = read_source_and_sink(source, sink)
    changed.source, changed.sink = str(uris[0]), str(uris[1])
    if request.HasField("filter"):
        former = pb.Rules(rules=spec.filter)
        if list(former.rules) != list(request.filter.rules) and former not in changed.former_filters:
            changed.former_filters.append(former)
        del changed.filter[:]
        changed.filter.extend(read_filter(request.filter.rules))
    if request.HasField("options"):
        changed.options.CopyFrom(read_options(request.options, spec.options))
    return changed


def read_filter(rules: Sequence[str]) -> list[str]:
    """The rules, if they can be read. Raises BadInput."""
    TableFilter.parse(rules)
    return list(rules)


def reaches_other_data(old: pb.ChangefeedSpec, new: pb.ChangefeedSpec) -> bool:
    """Whether source and sink must be looked at again before `new` is used."""
    return (old.source, old.sink, list(old.filter)) != (new.source, new.sink, list(new.filter))


def with_skip(spec: pb.ChangefeedSpec, skip: pb.Skip, is_past: Callable[[pb.Skip], bool]) -> pb.ChangefeedSpec:
    """`spec` with one more transaction to leave out. The list is bounded: those that the changefeed has passed
    are dropped first. Raises BadInput if that is not enough."""

    def same(each: pb.Skip) -> bool:
        return (each.gtid, each.file, each.offset, each.tables) == (skip.gtid, skip.file, skip.offset, skip.tables)

    kept = [each for each in spec.skips if not same(each)]
    while len(kept) >= SKIPS_KEPT:
        oldest = next((each for each in kept if is_past(each)), None)
        if oldest is None:
            raise BadInput(f"changefeed {spec.name} still has {len(kept)} transactions to leave out: resume it first")
        kept.remove(oldest)
    changed = pb.ChangefeedSpec()
    changed.CopyFrom(spec)
    del changed.skips[:]
    changed.skips.extend([*kept, skip])
    return changed
