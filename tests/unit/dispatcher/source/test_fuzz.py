"""A short run of tests/unit/dispatcher/source/fuzz.py (`make fuzz` is a long one), and what it found."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import pytest

from hedgerow.common.binlog import events as e
from hedgerow.common.errors import BinlogCorrupt
from hedgerow.dispatcher.source.framing import Framer
from tests.unit.dispatcher.source.fuzz import attempt
from tests.unit.dispatcher.source.packets import LONGEST

SEEDS = 1500


@pytest.fixture(autouse=True)
def _traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.timeout(180)
def test_hostile_bytes_end_in_errors_of_ours() -> None:
    said = {attempt(seed) for seed in range(SEEDS)}
    assert {"read", "BinlogCorrupt", "UnsupportedEvent"} <= said


def test_an_event_in_several_packets_is_no_longer_than_it_says() -> None:
    framer = Framer()
    head = b"\0" + bytes(4) + bytes([e.WRITE_ROWS]) + bytes(4) + (20 << 20).to_bytes(4, "little") + bytes(6)
    packet = head + bytes(LONGEST - len(head))
    with pytest.raises(BinlogCorrupt, match="comes in packets of more"):  # noqa: PT012
        for sequence in range(1, 40):
            data, at = LONGEST.to_bytes(3, "little") + bytes([sequence]) + packet, 0
            while at < len(data):
                space = framer.space()
                size = min(len(space), len(data) - at)
                space[:size] = data[at : at + size]
                framer.filled(size)
                at += size
            while framer.more:
                framer.cut()
