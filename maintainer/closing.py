"""The owner that closes a changefeed: stops its dispatchers everywhere and raises the sink's fence for good.

Order: Close to every member (each on its own; a node that hangs or cannot be reached within the deadline, or that goes
away, is left to the fence), then the fence row, then DDL that the sink may still execute: the fence cannot stop a
statement that the sink has, so that its session is ended, and waited for. Then, with `forget`, the progress is deleted
and a tombstone left, and then CLOSED, which confirms the stop. While the sink does not answer, or executes, it tries
again and shows why. Like a maintainer it ends as SUPERSEDED when a node or the sink obeys another owner.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc
import structlog

from hedgerow.common.binlog.position import Position, least
from hedgerow.common.control.rpc import is_refused
from hedgerow.common.epoch import Stamp
from hedgerow.common.errors import HedgerowError, LostOwnership, SinkUnavailable
from hedgerow.common.pb.v1 import dispatch_pb2, dispatch_pb2_grpc, maintainer_pb2
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.common.reporting import report_error
from hedgerow.maintainer.link import Timing, check_response, unavailable
from hedgerow.maintainer.members import MembersSource, NodeChannels
from hedgerow.maintainer.store import SinkStore

log = structlog.get_logger()

T = TypeVar("T")


class Closing:
    """Created and used in the event loop, like `Maintainer`. `status().phase` is CLOSED when all is done."""

    def __init__(
        self,
        stamp: Stamp,
        spec: pb.ChangefeedSpec,
        members: MembersSource,
        channels: NodeChannels,
        on_change: Callable[[], None],
        *,
        forget: bool,
        timing: Timing | None = None,
    ) -> None:
        """Raises BadInput where the spec cannot be used."""
        self._stamp = stamp
        self._spec = spec
        self._members = members
        self._channels = channels
        self._on_change = on_change
        self._forget = forget
        self._timing = timing or Timing()
        self._store = SinkStore(spec, stamp)
        self._phase: maintainer_pb2.MaintainerPhase = maintainer_pb2.CLOSING
        self._error: pb.ChangefeedError | None = None
        self._seen_epoch = 0
        self._checkpoint: Position | None = None
        self._log = log.bind(changefeed=spec.name, uid=stamp.uid, epoch=stamp.epoch)
        self._task = asyncio.create_task(self._run(), name=f"closing-{spec.name}-{stamp.epoch}")

    def cancel(self) -> None:
        self._task.cancel()

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def status(self) -> maintainer_pb2.MaintainerStatus:
        status = maintainer_pb2.MaintainerStatus(
            stamp=self._stamp.write(), phase=self._phase, error=self._error, seen_epoch=self._seen_epoch
        )
        if self._checkpoint is not None:
            status.checkpoint.CopyFrom(self._checkpoint.write())
        return status

    async def _run(self) -> None:
        try:
            await self._close_nodes()
            await self._close_sink()
        except LostOwnership as error:
            self._seen_epoch = error.epoch
            self._report(maintainer_pb2.SUPERSEDED, error)
        except Exception as error:
            if not isinstance(error, HedgerowError):
                self._log.exception("closing-failed")
            self._report(maintainer_pb2.ERRED, error)
        else:
            self._log.info("changefeed-closed", forgotten=self._forget)
            self._report(maintainer_pb2.CLOSED, None)

    async def _close_nodes(self) -> None:
        nodes = dict(self._members.members.nodes)
        tasks = [asyncio.create_task(self._close_node(node, info.address)) for node, info in nodes.items()]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _close_node(self, node: str, address: str) -> None:
        """Until it is done there or the node does not count any more. Raises Rejected."""
        clock = asyncio.get_running_loop().time
        stub = dispatch_pb2_grpc.DispatchStub(self._channels.channel(address, node))
        request = dispatch_pb2.CloseRequest(stamp=self._stamp.write())
        deadline = clock() + self._timing.close
        while node in self._members.members.nodes:
            try:
                response = await stub.Close(request, timeout=max(deadline - clock(), 0.01))
                if response.HasField("rejection") and response.rejection.closed == self._stamp.epoch:
                    return  # our own close, whose answer was lost
                check_response(self._stamp, response, address)
                return
            except grpc.aio.AioRpcError as failure:
                error: HedgerowError = unavailable(failure, address)
                if is_refused(failure):  # the process is dead, so nothing runs there
                    deadline = min(deadline, clock() + self._timing.grace)
            except LostOwnership:
                raise
            except HedgerowError as found:
                error = found
            if clock() >= deadline:
                self._log.warning("node-left-to-the-fence", node=node, error=str(error))
                return
            await asyncio.sleep(self._timing.retry)

    async def _close_sink(self) -> None:
        rows = await self._patiently(lambda: self._store.close(forget=False))
        if rows:  # without, it has not begun: there is no checkpoint to go on from
            self._checkpoint = least([row.position for row in rows], self._store.flavour)
        await self._patiently(self._end_ddl)
        if self._forget:
            await self._patiently(lambda: self._store.close(forget=True))

    async def _end_ddl(self) -> None:
        if running := await self._store.end_ddl():
            raise SinkUnavailable(
                f"the sink still executes a DDL statement, whose session was told to end ({running}): the changefeed "
                "has stopped when that has ended"
            )

    async def _patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        for failures in itertools.count(1):
            try:
                return await attempt()
            except HedgerowError as error:
                if not error.retriable:
                    raise
                self._report(maintainer_pb2.CLOSING, error)
                await asyncio.sleep(self._timing.fence.seconds(failures))
        raise AssertionError("unreachable")

    def _report(self, phase: maintainer_pb2.MaintainerPhase, error: Exception | None) -> None:
        if error is not None:
            self._log.warning("closing", phase=maintainer_pb2.MaintainerPhase.Name(phase), error=str(error))
        self._phase = phase
        self._error = report_error(error, self._stamp.node) if error is not None else None
        self._on_change()
