"""Hostile bytes: mutations of the golden recordings, through everything that reads what a source sends.

Whatever comes, only the project's own errors may go out, and memory stays bounded. One seed is one mutation, so that
what was found can be tried again.

usage: python -m tests.unit.dispatcher.source.fuzz [--seconds 600] [--seed 0]
"""

from __future__ import annotations

import argparse
import random
import struct
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path

from hedgerow.common.binlog import events as e
from hedgerow.common.binlog.position import Position
from hedgerow.common.errors import HedgerowError
from hedgerow.common.ledger.schema import SCHEMA_DISPATCHER
from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.mysql.names import TableName
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.sink.binlog.coalesce import Coalescer
from hedgerow.dispatcher.source.framing import Framer, StreamEnded
from hedgerow.dispatcher.source.statements import Statement
from hedgerow.dispatcher.stream.intake import LaneIntake, Target
from hedgerow.dispatcher.stream.router import Router
from hedgerow.dispatcher.stream.undo import RolledBack
from tests.data.record_binlogs import BINLOGS, FILE
from tests.unit.dispatcher.source.packets import make_event, packets, sealed
from tests.unit.dispatcher.source.story import events_of_file

MOST_BYTES = 48 << 20  # that may be held at any time: buffers, and what a recording is
EDGES = (0, 1, 2, 4, 0x7F, 0x80, 0xFA, 0xFB, 0xFC, 0xFD, 0xFE, 0xFF)
RECORDINGS: list[tuple[Flavour, list[bytes]]] = [
    ("mysql" if path.name.startswith("mysql") else "mariadb", events_of_file(path.read_bytes()))
    for path in sorted(Path(BINLOGS).glob("*.bin"))
]
ROTATE = make_event(e.ROTATE, bytes(8) + FILE.encode(), log_pos=0)


class Found(Exception):
    """Something that is no error of the project's, or too much memory."""


def classify(statement: Statement) -> pb.Ddl | None:
    return None


def mutated(rng: random.Random, event: bytes) -> bytes:
    """An event with its body or its header changed; its size is right again, mostly."""
    body = bytearray(event)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        at = rng.randrange(4, len(body)) if len(body) > 4 else 0
        match rng.randrange(7):
            case 0:
                body[at] = rng.choice(EDGES)
            case 1:
                body[at] ^= 1 << rng.randrange(8)
            case 2:
                del body[at : at + rng.choice((1, 2, 8, len(body)))]
            case 3:
                body[at:at] = rng.randbytes(rng.choice((1, 4, 60)))
            case 4:
                body[at : at + 8] = b"\xff" * min(8, len(body) - at)
            case 5:
                body[min(4, len(body) - 1)] = rng.choice([*e.NAMES, rng.randrange(256)])
            case _:
                body[at : at + 4] = struct.pack("<I", rng.choice((0, 1, 2**31 - 1, 2**32 - 1)))[: len(body) - at]
        body = body or bytearray(b"\0")
    if len(body) >= e.HEADER and rng.randrange(10):
        body[e.SIZE_AT : e.SIZE_AT + 4] = struct.pack("<I", len(body))
    return bytes(body)


def inflated(rng: random.Random) -> bytes:
    """A compressed event that lies about what it holds, or holds far more than it is."""
    plain = bytes(rng.choice((0, 10, 1 << 20, 8 << 20)))
    data = zlib.compress(plain, 1)
    said = rng.choice((0, len(plain), len(plain) // 2, 2**31, 2**56 - 1))
    length = (said.bit_length() + 7) // 8 or 1
    head = bytes([0x80 | min(length, 7)]) + said.to_bytes(length, "big")[:7]
    match rng.randrange(3):
        case 0:
            return make_event(e.WRITE_ROWS_COMPRESSED_V1, bytes(8) + b"\x01\xff" + head + data)
        case 1:
            return make_event(e.QUERY_COMPRESSED, bytes(13) + b"\0" + head + data)
        case _:
            fields = b"\x02\x01\xff" + b"\x03\x09\xfe" + struct.pack("<Q", said) + b"\x01\x09\xfe"
            inner = make_event(e.WRITE_ROWS, bytes(20))[: e.SIZE_AT] + struct.pack("<I", said & 0xFFFFFFFF) + bytes(60)
            return make_event(e.TRANSACTION_PAYLOAD, fields + struct.pack("<Q", len(inner)) + b"\0" + inner)


def hostile(rng: random.Random) -> tuple[Flavour, bytes]:
    """A recording as the bytes of a connection, with something wrong in it."""
    flavour, recorded = rng.choice(RECORDINGS)
    events = [ROTATE, *recorded]
    checksums = recorded[0][-5] == 1
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(1, len(events))
        match rng.randrange(8):
            case 0:
                events[at : at + 1] = []
            case 1:
                events.insert(at, events[rng.randrange(len(events))])
            case 2:
                wrong = inflated(rng)
                events.insert(at, sealed(wrong) if checksums else wrong)
            case _:
                plain = events[at][:-4] if checksums and at > 1 else events[at]
                wrong = mutated(rng, plain)
                events[at] = sealed(wrong) if checksums and at > 1 and len(wrong) >= e.HEADER else wrong
    payloads = [b"\0" + event for event in events]
    if not rng.randrange(4):
        at = rng.randrange(len(payloads))
        payloads[at] = rng.choice(
            (b"", b"\0", b"\xff", b"\xfe", b"\xff\xd4\x04#HY000no", payloads[at][: rng.randrange(30)])
        )
    data = bytearray(packets(payloads))
    if not rng.randrange(6):
        data[rng.randrange(len(data))] = rng.choice(EDGES)
    return flavour, bytes(data)


def framed(data: bytes, rng: random.Random) -> Iterator[list[bytes]]:
    framer, at = Framer(), 0
    while at < len(data):
        space = framer.space()
        size = min(len(space), len(data) - at, rng.choice((1 << 20, 1000)))
        space[:size] = data[at : at + size]
        framer.filled(size)
        at += size
        while framer.more:
            yield framer.cut()


def read(flavour: Flavour, batches: Iterator[list[bytes]]) -> None:
    """As a stream does it, with all tables of the recordings replicated."""
    start = Position("0-1-0" if flavour == "mariadb" else "", FILE if flavour == "mariadb" else "", 4, "s")
    collect = Coalescer(1 << 20)
    feed = LaneIntake(collect)
    names = [TableName("g", table).key for table in ("a", "keyless", "c", "d", "usual", "nopad")]
    targets = [Target(key, feed, start) for key in [*names, SCHEMA_DISPATCHER]]
    router = Router(flavour, start, "s", targets, classify, {})
    for events in batches:
        at = 0
        while at < len(events):
            at = router.route(events, at, 10, 1 << 16)
            if router.description:
                if not feed.open:
                    collect.take()
                description = router.accept_description()
                if collect.empty:
                    collect.describe(description)
            if not collect.empty:
                collect.advance((), router.position)
                batch = collect.take(final=not feed.open)
                assert batch.rows_events >= 0
        router.position.write()


def attempt(seed: int) -> str:
    """What became of it; raises Found."""
    rng = random.Random(seed)
    flavour, data = hostile(rng)
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    try:
        read(flavour, framed(data, rng))
        said = "read"
    except (HedgerowError, StreamEnded, RolledBack) as error:
        said = type(error).__name__
    except Exception as error:
        raise Found(f"seed {seed}: {type(error).__name__}: {error}") from error
    held = tracemalloc.get_traced_memory()[1] - before
    if held > MOST_BYTES + 2 * len(data):
        raise Found(f"seed {seed}: {held >> 20} MiB for {len(data)} bytes")
    return said


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=float, default=600.0)
    arguments.add_argument("--seed", type=int, default=0, help="the first; every mutation has the next one")
    chosen = arguments.parse_args()
    tracemalloc.start()
    seed, counted = chosen.seed, dict[str, int]()
    until = time.monotonic() + chosen.seconds
    while time.monotonic() < until:
        said = attempt(seed)
        counted[said] = counted.get(said, 0) + 1
        seed += 1
    print(
        f"{seed - chosen.seed} mutations from seed {chosen.seed}: " + ", ".join(f"{k} {v}" for k, v in counted.items())
    )


if __name__ == "__main__":
    main()
