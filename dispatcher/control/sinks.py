"""Which kind of sink a changefeed's stream writes to: the one place that names the kinds."""

from __future__ import annotations

from collections.abc import Callable

from hedgerow.dispatcher.sink.api import Sink
from hedgerow.dispatcher.sink.binlog.sink import BinlogSink
from hedgerow.dispatcher.sink.kill_switch import KillSwitch
from hedgerow.dispatcher.sink.token import CurrentToken
from hedgerow.dispatcher.spec import Spec
from hedgerow.dispatcher.stream.stream import Stream
from hedgerow.dispatcher.table import Report, TableProgress


def open_sink(spec: Spec, token: CurrentToken) -> Sink:
    """For one attempt of a stream. Connects when it is asked something."""
    return BinlogSink(spec, token)


def open_stream(
    spec: Spec,
    token: CurrentToken,
    switch: KillSwitch,
    tables: tuple[TableProgress, ...],
    *,
    post: Callable[[Report], None],
    ended: Callable[[], None],
) -> Stream:
    return Stream(spec, token, switch, tables, open_sink=open_sink, post=post, ended=ended)
