"""A changefeed's spec as the dispatchers read it: checked once, before the owner changes, and compared for equality."""

from __future__ import annotations

from dataclasses import dataclass, field

from hedgerow.common.binlog.skips import Skip
from hedgerow.common.errors import BadInput
from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.mysql.filter import TableFilter
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.common.options import effective
from hedgerow.common.pb.v1 import model_pb2 as pb


@dataclass(frozen=True, slots=True)
class Spec:
    """Two equal specs need no new stream."""

    uid: str
    name: str
    source: ServerUri
    sink: ServerUri
    flavour: Flavour
    rules: tuple[str, ...]
    lanes: int
    batch_transactions: int
    batch_bytes: int
    filter: TableFilter = field(compare=False)
    skips: tuple[Skip, ...] = ()

    @classmethod
    def read(cls, message: pb.ChangefeedSpec) -> Spec:
        """Raises BadInput: a URI that does not parse, a password that is not here, an unknown flavour, a bad filter."""
        source, sink = ServerUri.parse(message.source), ServerUri.parse(message.sink)
        source.password()
        sink.password()
        options = effective(message.options)
        return cls(
            uid=message.uid,
            name=message.name,
            source=source,
            sink=sink,
            flavour=_flavour(message.flavour),
            rules=tuple(message.filter),
            lanes=options.lanes,
            batch_transactions=options.batch_transactions,
            batch_bytes=options.batch_bytes,
            filter=TableFilter.parse(message.filter),
            skips=tuple(map(Skip.read, message.skips)),
        )


def _flavour(text: str) -> Flavour:
    if text == "mysql":
        return "mysql"
    if text == "mariadb":
        return "mariadb"
    raise BadInput(f"the changefeed's flavour is {text!r}; this node replicates mysql and mariadb")
