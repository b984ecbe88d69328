"""A stream that does what the test tells it, behind the real service and manager."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hedgerow.common.binlog.position import Position
from hedgerow.common.lag import Lag
from hedgerow.common.pb.v1 import dispatch_pb2 as pb
from hedgerow.common.pb.v1 import model_pb2
from hedgerow.dispatcher.control.service import DispatchService
from hedgerow.dispatcher.sink.kill_switch import KillSwitch
from hedgerow.dispatcher.sink.token import CurrentToken
from hedgerow.dispatcher.spec import Spec
from hedgerow.dispatcher.stream.decision import BarrierDecision
from hedgerow.dispatcher.table import Placement, Report, TableProgress


class FakeStream:
    """Ends when its switch does, or with `hangs` only when it is cut."""

    def __init__(
        self,
        hangs: bool,
        spec: Spec,
        token: CurrentToken,
        switch: KillSwitch,
        tables: tuple[TableProgress, ...],
        post: Callable[[Report], None],
        ended: Callable[[], None],
    ) -> None:
        self.hangs = hangs
        self.spec, self.token, self.tables = spec, token, tables
        self.decisions: list[BarrierDecision] = []
        self.started = False
        self._post, self._ended, self._switch = post, ended, switch
        switch.watch(self._follow)

    def start(self) -> None:
        self.started = True

    @property
    def placements(self) -> tuple[Placement, ...]:
        return tuple(table.placement for table in self.tables)

    @property
    def cancelled(self) -> bool:
        return self._switch.is_ending

    @property
    def aborted(self) -> bool:
        return self._switch.is_cut

    def end(self) -> None:
        self._ended()

    def _follow(self) -> None:
        if not self.hangs or self.aborted:
            self._ended()

    def decide(self, decision: BarrierDecision) -> None:
        self.decisions.append(decision)

    def lag(self) -> Lag | None:
        return None

    def report(self, state: model_pb2.DispatcherState = model_pb2.RUNNING, rows_events: int = 0) -> None:
        self._post(
            Report(
                tuple(
                    replace(
                        one,
                        state=state,
                        position=Position(file="binlog.000001", offset=4),
                        rows_events=one.rows_events + rows_events,
                    )
                    for one in self.tables
                )
            )
        )


class Streams:
    """Makes fake streams and keeps them, the newest last."""

    def __init__(self) -> None:
        self.made: list[FakeStream] = []
        self.hang = False

    def __call__(
        self,
        spec: Spec,
        token: CurrentToken,
        switch: KillSwitch,
        tables: tuple[TableProgress, ...],
        *,
        post: Callable[[Report], None],
        ended: Callable[[], None],
    ) -> FakeStream:
        self.made.append(FakeStream(self.hang, spec, token, switch, tables, post, ended))
        return self.made[-1]


SPEC = model_pb2.ChangefeedSpec(
    name="shop", source="mysql://repl@127.0.0.1:3306/", sink="mysql://repl@127.0.0.1:3307/", flavour="mariadb"
)


class Caller:
    """Calls the handlers as the owner (epoch, node) of one changefeed."""

    def __init__(self, service: DispatchService, epoch: int, node: str, uid: str = "u1") -> None:
        self.service, self.epoch, self.node, self.uid = service, epoch, node, uid

    @property
    def stamp(self) -> model_pb2.Stamp:
        return model_pb2.Stamp(uid=self.uid, epoch=self.epoch, node=self.node)

    async def bootstrap(self, **changes: Any) -> pb.BootstrapResponse:
        spec = model_pb2.ChangefeedSpec()
        spec.CopyFrom(SPEC)
        spec.uid = self.uid
        for name, value in changes.items():
            setattr(spec, name, value)
        return await self.service.Bootstrap(pb.BootstrapRequest(stamp=self.stamp, spec=spec), None)

    async def schedule(
        self, create: tuple[str, ...] = (), remove: tuple[str, ...] = (), generation: int = 1
    ) -> pb.ScheduleResponse:
        def read(keys: tuple[str, ...]) -> list[pb.DispatcherPlacement]:
            return [pb.DispatcherPlacement(dispatcher=key, generation=generation) for key in keys]

        request = pb.ScheduleRequest(stamp=self.stamp, create=read(create), remove=read(remove))
        return await self.service.Schedule(request, None)

    async def heartbeat(self, seen: int = 0, wait_ms: int = 0, *, changes: bool = False) -> pb.HeartbeatResponse:
        request = pb.HeartbeatRequest(stamp=self.stamp, seen_version=seen, wait_ms=wait_ms, changes=changes)
        return await self.service.Heartbeat(request, None)

    async def barrier(self, action: pb.BarrierAction = pb.PASS) -> pb.BarrierResponse:
        request = pb.BarrierRequest(stamp=self.stamp, action=action, dispatchers=["a.b"])
        return await self.service.Barrier(request, None)

    async def close(self) -> pb.CloseResponse:
        return await self.service.Close(pb.CloseRequest(stamp=self.stamp), None)

    async def call(self, name: str) -> Any:
        return await getattr(self, name)()
