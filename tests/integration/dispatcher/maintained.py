"""The product's own maintainer over in-process nodes: it places dispatchers, and decides over every DDL.

A loop that looks at statuses now and then is not enough: on a slow machine it decides over a DDL without the table that
was created just before it, and the rows in between come after it (hedgerow.maintainer.operations.barrier says what a
decision has to know).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from google.protobuf.message import Message
from google.protobuf.text_format import MessageToString

from hedgerow.common.control import rpc
from hedgerow.common.control.membership import Members, NodeInfo
from hedgerow.common.ddlscope import DdlId, ddl_id
from hedgerow.common.epoch import Stamp
from hedgerow.common.pb.v1 import dispatch_pb2
from hedgerow.common.pb.v1 import maintainer_pb2 as mpb
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.maintainer.maintainer import Maintainer
from tests.integration.dispatcher.harness import SECONDS, Changefeed, Node, in_thread


class _Unchanged:
    """Members that never come or go."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        infos = {node.name: NodeInfo(node.name, node.address, "", datetime.now(UTC), pb.ALIVE, 0) for node in nodes}
        self.members = Members(1, infos, None, 0)

    async def changed(self, since: int) -> Members:
        await asyncio.Event().wait()
        return self.members


class Maintained:
    """A changefeed at a new epoch, owned by a maintainer on the first of `nodes`."""

    def __init__(self, changefeed: Changefeed, nodes: Sequence[Node]) -> None:
        changefeed.epoch, changefeed.owner = changefeed.epoch + 1, nodes[0].name
        self._changefeed = changefeed
        self._nodes = nodes
        self._changed = asyncio.Event()
        self._peers = rpc.Peers()
        self._maintainer = Maintainer(
            Stamp.read(changefeed.stamp()),
            changefeed.spec,
            _Unchanged(nodes),
            self._peers,
            self._changed.set,
            begun=True,
        )

    async def stop(self) -> None:
        """Dispatchers keep running."""
        await self._maintainer.stop()
        await self._peers.close()

    @property
    def report(self) -> mpb.MaintainerStatus:
        return self._maintainer.status()

    @property
    def written(self) -> set[DdlId]:
        """What the schema dispatcher was told to execute."""
        return {
            ddl_id(told.ddl)
            for node in self._nodes
            for told in node.service.barriers
            if told.stamp.uid == self._changefeed.uid and told.action == dispatch_pb2.WRITE
        }

    async def wait(self, condition: Callable[[mpb.MaintainerStatus], bool]) -> mpb.MaintainerStatus:
        """Until the report is as wanted."""
        deadline = time.monotonic() + SECONDS
        while not condition(report := self.report):
            assert time.monotonic() < deadline, f"not within {SECONDS} s"
            self._changed.clear()
            async with asyncio.timeout(SECONDS):
                await self._changed.wait()
        return report

    async def wait_running(self) -> mpb.MaintainerStatus:
        """Until every dispatcher that the sink lists is placed, and none waits for anything."""
        rows = await in_thread(self._changefeed.progress)

        def runs(report: mpb.MaintainerStatus) -> bool:
            states = {status.dispatcher: status.state for status in report.dispatchers}
            return states.keys() == rows.keys() and set(states.values()) == {pb.RUNNING}

        return await self.wait(runs)

    def check(self) -> None:
        assert self.report.phase in (mpb.BOOTSTRAPPING, mpb.MAINTAINING), "the maintainer has ended"

    async def evidence(self) -> str:
        """What the maintainer knew of everybody, what it had decided, and what the sink lists."""
        report = self.report
        decisions = [f"{node.name} was told {_line(told)}" for node in self._nodes for told in node.service.barriers]
        rows = await in_thread(self._changefeed.progress)
        dispatchers = [_line(status) for status in report.dispatchers]
        del report.dispatchers[:]
        return "\n".join((_line(report), *dispatchers, *decisions, *map(str, rows.values())))


@asynccontextmanager
async def maintained(changefeed: Changefeed, nodes: Sequence[Node]) -> AsyncIterator[Maintained]:
    """The maintainer takes the changefeed over and keeps it meanwhile. What fails here comes with evidence."""
    found = Maintained(changefeed, nodes)
    try:
        yield found
        found.check()
    except Exception as error:
        error.add_note(await found.evidence())
        raise
    finally:
        await found.stop()


def _line(message: Message) -> str:
    return MessageToString(message, as_one_line=True)
