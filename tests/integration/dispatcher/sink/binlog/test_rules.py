"""The BINLOG sink keeps the rules of the seam, on servers of both flavours."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from hedgerow.common.binlog.position import Position
from hedgerow.common.ledger.ownership import raise_fence
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.sink.api import Sink
from hedgerow.dispatcher.sink.binlog.sink import BinlogSink
from hedgerow.dispatcher.sink.token import FencingToken
from hedgerow.dispatcher.spec import Spec
from hedgerow.sandbox.servers import ServerPair
from tests.integration.dispatcher.sink.harness import SCHEMA, Feed, run
from tests.unit.dispatcher.sink.sink_rules import RULES, World

TABLES = {"a": "(id INT PRIMARY KEY)", "b": "(id INT)"}


class ServerWorld:
    def __init__(self, pair: ServerPair) -> None:
        self.feed = Feed(pair, TABLES)
        self.uid, self.start = self.feed.uid, self.feed.start
        for number in range(4):
            run(
                pair.source.connect(),
                "BEGIN",
                *(f"INSERT INTO {SCHEMA}.{name} VALUES ({number})" for name in TABLES),
                "COMMIT",
            )
        self.description, found = self.feed.read()
        self._transactions = [(one.rows, one.position) for one in found]
        self._spec = Spec.read(
            pb.ChangefeedSpec(
                uid=self.uid, name="shop", source=pair.source_uri, sink=pair.sink_uri, flavour=pair.flavour
            )
        )

    @property
    def transactions(self) -> Sequence[tuple[Sequence[tuple[str, bytes, bytes]], Position]]:
        return self._transactions

    def sink(self, token: Callable[[], FencingToken]) -> Sink:
        return BinlogSink(self._spec, token)

    def raise_fence(self, epoch: int) -> None:
        with self.feed.sink() as connection:
            raise_fence(connection, self.uid, epoch, "n2")

    def count(self, key: str) -> int:
        return len(self.feed.rows(self.feed.pair.sink, key))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_it_keeps(server_pair: ServerPair, rule: Callable[[World], None]) -> None:
    rule(ServerWorld(server_pair))
