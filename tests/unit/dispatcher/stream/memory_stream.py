"""A whole stream without a server: the product's attempt, router, lanes and queues between a source and a sink in
memory. Only what asks a server is another: the reader, and whether names are lower-case."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from hedgerow.common.binlog import events as e
from hedgerow.common.binlog.position import Position
from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.pb.v1 import dispatch_pb2
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.ddl import Action, apply_filter, classify
from hedgerow.dispatcher.sink.kill_switch import KillSwitch
from hedgerow.dispatcher.sink.token import FencingToken
from hedgerow.dispatcher.source.clock import Clock
from hedgerow.dispatcher.source.statements import Statement
from hedgerow.dispatcher.spec import Spec
from hedgerow.dispatcher.stream.decision import BarrierDecision
from hedgerow.dispatcher.stream.stream import Stream
from hedgerow.dispatcher.stream.wake import Wake
from hedgerow.dispatcher.table import Placement, Report, TableProgress
from tests.unit.dispatcher.binlog import Binlog
from tests.unit.dispatcher.sink.memory_server import MemoryServer
from tests.unit.dispatcher.sink.memory_sink import MemorySink

FILE = "binlog.000001"
SECONDS = 60.0


class MemoryReader:
    """Sends what the world's log has after `start`, and then what comes."""

    def __init__(self, world: StreamWorld, start: Position) -> None:
        self._world = world
        self._next = sum(end <= start.offset for _, end in world.logged)
        self._wake = Wake()
        self._closed = False
        self.source_id, self.by_gtid = "1", True
        self.clock: Clock | None = None
        self.reached: Callable[[], Position] | None = None
        world.readers.append(self._wake)

    def connect(self) -> None:
        self.clock = Clock(time.monotonic() - time.time(), 1.0)

    def ready(self) -> bool:
        return self._next < len(self._world.logged)

    def read(self, timeout: float, wake_fd: int) -> list[bytes]:
        if not self.ready():
            poll = select.poll()
            for fd in (wake_fd, self._wake.fd):
                poll.register(fd, select.POLLIN)
            poll.poll(timeout * 1000)
            self._wake.clear()
        begin, self._next = self._next, len(self._world.logged)
        return [event for event, _ in self._world.logged[begin : self._next]]

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._world.readers.remove(self._wake)
            self._wake.close()


class Classifier:
    """The product's rules; names are as they are written."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec

    def __call__(self, statement: Statement) -> pb.Ddl | None:
        classified = classify(statement.text, statement.default_schema, self._spec.flavour)
        if apply_filter(classified, self._spec.filter).action is Action.SKIP:
            return None
        return pb.Ddl(
            statement=classified.statement,
            default_schema=statement.default_schema,
            scope=classified.scope,
            touches=[name.write() for name in classified.touches],
            creates=[name.write() for name in classified.creates],
            drops=[name.write() for name in classified.drops],
        )


class StreamWorld:
    """`seen`: every report, with the number of rows that were in the sink when it was sent."""

    def __init__(
        self,
        directory: Path,
        monkeypatch: pytest.MonkeyPatch,
        flavour: Flavour,
        options: pb.ChangefeedOptions | None = None,
    ) -> None:
        password = directory / "password"
        password.write_text("secret")
        uri = f"mysql://u@127.0.0.1:1/?password_file={password}"
        self.spec = Spec.read(
            pb.ChangefeedSpec(
                name="f",
                uid="u",
                source=uri,
                sink=uri,
                flavour=flavour,
                filter=["s.*"],
                options=options or pb.ChangefeedOptions(),
            )
        )
        self.log = Binlog(flavour)
        self.log.begin()  # the transaction that everything began with
        self.start = Position(self.log.gtid_set(1), FILE, self.log.offset, "1")
        self.logged: list[tuple[bytes, int]] = []
        self.readers: list[Wake] = []
        self.server = MemoryServer(fence=1)
        self.token = FencingToken("u", 1)
        self.seen: list[tuple[Report, int]] = []
        self._news = threading.Event()
        self._streams: list[tuple[Stream, threading.Event]] = []
        self._switch = KillSwitch()
        monkeypatch.setattr(
            "hedgerow.dispatcher.stream.attempt.Reader", lambda uri, flavour, start, **_: MemoryReader(self, start)
        )
        monkeypatch.setattr("hedgerow.dispatcher.stream.attempt.Classifier", Classifier)

    def write(self, events: Sequence[bytes]) -> None:
        """The source logs these."""
        self.logged += [(event, int.from_bytes(event[e.LOG_POS_AT : e.LOG_POS_AT + 4], "little")) for event in events]
        for reader in list(self.readers):
            reader.set()

    def transaction(self, *tables: str) -> None:
        self.write(self.log.transaction(*(("s", table, number) for number, table in enumerate(tables, 10))))

    def add(self, *keys: str) -> None:
        """Progress rows at the start."""
        self.server.add(self.start, *keys)
        self.server.tables |= set(keys) - {"*"}

    def run(self, lanes: Mapping[str, int], generation: int = 1) -> Stream:
        """`lanes`: of each dispatcher."""
        ended = threading.Event()
        stream = Stream(
            self.spec,
            lambda: self.token,
            self._switch,
            tuple(TableProgress(Placement(key, generation, lane)) for key, lane in lanes.items()),
            open_sink=lambda spec, token: MemorySink(self.server, token),
            post=self._post,
            ended=ended.set,
        )
        self._streams.append((stream, ended))
        stream.start()
        return stream

    def _post(self, report: Report) -> None:
        self.seen.append((report, len(self.server.rows)))
        self._news.set()

    def end(self, *, abort: bool = False) -> None:
        self._switch.cut() if abort else self._switch.end()
        for _, ended in self._streams:
            assert ended.wait(SECONDS)
        self._streams.clear()
        self._switch = KillSwitch()

    def until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS
        while not holds():
            self._news.wait(0.02)
            self._news.clear()
            assert time.monotonic() < deadline, (self.server.rows, self.states())

    def of(self, key: str) -> TableProgress | None:
        """As it was reported last."""
        if not self.seen:
            return None
        return next((one for one in self.seen[-1][0].tables if one.placement.dispatcher == key), None)

    def states(self) -> dict[str, str]:
        if not self.seen:
            return {}
        return {one.placement.dispatcher: pb.DispatcherState.Name(one.state) for one in self.seen[-1][0].tables}

    def is_in(self, state: pb.DispatcherState, *keys: str) -> bool:
        return all((one := self.of(key)) is not None and one.state == state for key in keys)

    def decide(
        self, stream: Stream, action: dispatch_pb2.BarrierAction, *keys: str, flushed: Mapping[str, int] | None = None
    ) -> None:
        one = self.of(keys[0])
        assert one is not None
        assert one.blocked is not None
        stream.decide(BarrierDecision(one.blocked, action, frozenset(keys), self.token.epoch, flushed or {}))

    def expected(self, key: str) -> list[bytes]:
        """What the source has logged of this table, in order."""
        table = key.partition(".")[2].encode()
        rows = [event[e.TABLE_BODY_AT :] for event, _ in self.logged if event[e.TYPE_AT] in e.ROWS]
        return [row for row in rows if row.endswith(b":" + table)]

    def has_all(self, *keys: str) -> bool:
        return all(self.server.of(key) == self.expected(key) for key in keys)
