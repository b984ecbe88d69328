"""The sink in memory keeps the rules of the seam: what is proved with it is proved of a sink."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from hedgerow.common.binlog.position import Position
from hedgerow.dispatcher.sink.api import Sink
from hedgerow.dispatcher.sink.token import FencingToken
from tests.unit.dispatcher.binlog import Binlog
from tests.unit.dispatcher.sink.memory_server import FORMAT, MemoryServer
from tests.unit.dispatcher.sink.memory_sink import MemorySink
from tests.unit.dispatcher.sink.sink_rules import RULES, A, B, World

FILE = "binlog.000001"


class MemoryWorld:
    uid = "u"
    description = FORMAT
    start = Position(file=FILE, offset=4, source_id="1")

    def __init__(self) -> None:
        self.server = MemoryServer(fence=1)
        self.server.add(self.start, A, B)
        log = Binlog("mariadb")
        self._transactions: list[tuple[Sequence[tuple[str, bytes, bytes]], Position]] = []
        for _ in range(4):
            rows: list[tuple[str, bytes, bytes]] = []
            for number, key in enumerate((A, B)):
                table_map, event = log.rows("shop", key.removeprefix("shop."), number)
                rows.append((key, table_map, event))
            self._transactions.append((rows, Position(file=FILE, offset=log.offset, source_id="1")))

    @property
    def transactions(self) -> Sequence[tuple[Sequence[tuple[str, bytes, bytes]], Position]]:
        return self._transactions

    def sink(self, token: Callable[[], FencingToken]) -> Sink:
        return MemorySink(self.server, token)

    def raise_fence(self, epoch: int) -> None:
        with self.server.changed:
            self.server.fence = epoch

    def count(self, key: str) -> int:
        return len(self.server.of(key))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_it_keeps(rule: Callable[[World], None]) -> None:
    rule(MemoryWorld())
