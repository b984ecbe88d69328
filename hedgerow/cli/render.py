"""What commands print: tables for people, one JSON document for scripts. The JSON's keys are stable."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any

import click
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from hedgerow.common.pb.v1 import admin_pb2 as pb
from hedgerow.common.pb.v1 import model_pb2
from hedgerow.common.pb.v1.maintainer_pb2 import MaintainerStatus

_PIPE_WIDTH = 240
_NEVER = "1970-01-01T00:00:00Z"
_STATE_COLOURS = {"normal": "green", "warning": "yellow", "failed": "red", "stopped": "cyan", "removed": "magenta"}


def changefeed(feed: pb.Changefeed, *, as_json: bool) -> None:
    _emit(changefeed_dict(feed), lambda: changefeed_view(feed), as_json)


def changefeeds(feeds: Iterable[pb.Changefeed], *, as_json: bool) -> None:
    feeds = list(feeds)
    _emit([changefeed_dict(feed) for feed in feeds], lambda: _changefeeds_table(feeds), as_json)


def skipped(feed: pb.Changefeed, *, as_json: bool) -> None:
    """The transaction that was just marked to be left out."""
    last = skip_dict(feed.spec.skips[-1])
    of = f" of {', '.join(last['tables'])}" if last["tables"] else ""
    text = (
        f"{feed.spec.name} leaves out {'the rows' + of + ' in' if of else ''} transaction {last['transaction']}:\n"
        f"  {last['what']}\nTo continue: hedgerow changefeed resume {feed.spec.name}"
    )
    _emit({**last, "changefeed": feed.spec.name}, lambda: Text(text), as_json)


def skip_dict(skip: model_pb2.Skip) -> dict[str, Any]:
    return {
        "transaction": skip.gtid or f"{skip.file}:{skip.offset}",
        "tables": list(skip.tables),
        "at": _time(skip.at),
        "by": skip.by,
        "what": skip.what,
    }


def nodes(listed: Iterable[pb.Node], *, as_json: bool) -> None:
    listed = list(listed)
    _emit([_node_dict(node) for node in listed], lambda: _nodes_table(listed), as_json)


def done(document: dict[str, Any], text: str, *, as_json: bool) -> None:
    _emit(document, lambda: Text(text), as_json)


def _emit(document: Any, view: Any, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(document, indent=2))
    else:
        console = Console(highlight=False)
        if not console.is_terminal:
            console = Console(
                highlight=False, width=_PIPE_WIDTH
            )  # no line is folded for the program at the other end of the pipe
        console.print(view())


def changefeed_dict(feed: pb.Changefeed) -> dict[str, Any]:
    spec, ownership, status = feed.spec, feed.ownership, feed.status
    live = feed.live if feed.HasField("live") else None
    checkpoint = live.checkpoint if live is not None and live.HasField("checkpoint") else status.checkpoint
    return {
        "name": spec.name,
        "uid": spec.uid,
        "state": _name(model_pb2.ChangefeedState, status.state),
        "flavour": spec.flavour,
        "source": spec.source,
        "sink": spec.sink,
        "filter": list(spec.filter),
        "warnings": [{"found": each.found, "fix": each.fix} for each in spec.warnings],
        "start": spec.start,
        "start_position": _position_dict(spec.start_position),
        "options": {
            "consistency": _name(model_pb2.Consistency, spec.options.consistency),
            "lanes": spec.options.lanes,
            "batch_transactions": spec.options.batch_transactions,
            "batch_bytes": spec.options.batch_bytes,
        },
        "created": _time(spec.created),
        "skips": [skip_dict(skip) for skip in spec.skips],
        "epoch": ownership.epoch,
        "owner": ownership.node,
        "role": _name(model_pb2.Role, ownership.role),
        "closed": ownership.closed,
        "checkpoint": _position_dict(checkpoint),
        "lag_seconds": round(feed.lag.seconds, 3) if feed.HasField("lag") and feed.lag.known else None,
        "lag_unknown_since": _time(feed.lag_unknown_since) if feed.HasField("lag_unknown_since") else None,
        "lag_bytes": feed.lag.bytes if feed.lag.HasField("bytes") else None,
        "rows": live.rows if live is not None else None,
        "transactions": live.transactions if live is not None else None,
        "error": _error_dict(_error(status, live)),
        "attempts": status.attempts,
        "retry_at": _time(status.retry_at) if status.HasField("retry_at") else None,
        "dispatchers": [_dispatcher_dict(each) for each in live.dispatchers] if live is not None else [],
        "ownership_changes": [
            {
                "epoch": change.epoch,
                "node": change.node,
                "role": _name(model_pb2.Role, change.role),
                "reason": change.reason,
                "at": _time(change.at),
            }
            for change in ownership.changes
        ],
    }


def _error(status: model_pb2.ChangefeedStatus, live: MaintainerStatus | None) -> model_pb2.ChangefeedError:
    """Of one that has failed: why. What its maintainer meets while it closes would hide that."""
    failed = status.state == model_pb2.FAILED
    return live.error if live is not None and live.HasField("error") and not failed else status.error


def _dispatcher_dict(status: model_pb2.DispatcherStatus) -> dict[str, Any]:
    return {
        "dispatcher": status.dispatcher,
        "node": status.node,
        "state": _name(model_pb2.DispatcherState, status.state),
        "epoch": status.epoch,
        "generation": status.generation,
        "position": _position_dict(status.position),
        "blocked_by": status.blocked.statement if status.HasField("blocked") else None,
        "error": _error_dict(status.error),
        "rows_events": status.rows_events,
        "transactions": status.transactions,
    }


def _position_dict(position: model_pb2.Position) -> dict[str, Any]:
    return {
        "gtid_set": position.gtid_set,
        "file": position.file,
        "offset": position.offset,
        "source_id": position.source_id,
        "commit_time": _time(position.commit_time) if position.HasField("commit_time") else None,
    }


def _error_dict(error: model_pb2.ChangefeedError) -> dict[str, Any] | None:
    if not error.code:
        return None
    return {
        "code": error.code,
        "message": error.message,
        "retriable": error.retriable,
        "node": error.node,
        "dispatcher": error.dispatcher,
        "position": _position_dict(error.position) if error.HasField("position") else None,
        "at": _time(error.at),
    }


def _node_dict(node: pb.Node) -> dict[str, Any]:
    return {
        "id": node.info.id,
        "address": node.info.address,
        "version": node.info.version,
        "started": _time(node.info.started),
        "liveness": _name(model_pb2.Liveness, node.info.liveness),
        "coordinator": node.coordinator,
        "reachable": node.reachable,
        "maintains": list(node.maintains),
        "dispatchers": node.dispatchers,
    }


def _name(enum: Any, value: int) -> str:
    return str(enum.Name(value)).lower()


def _time(stamp: Timestamp) -> str:
    return str(stamp.ToJsonString())


def _changefeeds_table(feeds: list[pb.Changefeed]) -> RenderableType:
    if not feeds:
        return Text("no changefeeds")
    table = _table("NAME", "STATE", "EPOCH", "OWNER", "POSITION", "LAG", "ERROR", "SINCE")
    for feed in feeds:
        shown = changefeed_dict(feed)
        error = shown["error"]
        table.add_row(
            shown["name"],
            _state(shown["state"]),
            str(shown["epoch"]),
            shown["owner"] or "-",
            position_text(shown["checkpoint"]),
            lag_text(shown),
            Text(error["code"], style="red") if error else "",
            error["at"] if error and error["at"] != _NEVER else "",
        )
    return table


def _nodes_table(listed: list[pb.Node]) -> RenderableType:
    table = _table("NODE", "ADDRESS", "LIVENESS", "ROLE", "REACHED", "MAINTAINS", "DISPATCHERS", "UP")
    for node in listed:
        table.add_row(
            node.info.id,
            node.info.address,
            _name(model_pb2.Liveness, node.info.liveness),
            "coordinator" if node.coordinator else "",
            "yes" if node.reachable else Text("no", style="red"),
            ", ".join(node.maintains) or "-",
            str(node.dispatchers),
            _duration(time.time() - node.info.started.ToNanoseconds() / 1e9),
        )
    return table


def changefeed_view(feed: pb.Changefeed, rates: tuple[float, float] | None = None) -> RenderableType:
    """The whole of one changefeed; `rates` are transactions and rows per second, for the live view."""
    shown = changefeed_dict(feed)
    head = Table.grid(padding=(0, 2))
    head.add_column(style="bold")
    head.add_column(overflow="fold")
    head.add_row("changefeed", shown["name"])
    head.add_row("state", _state(shown["state"]))
    head.add_row("epoch", f"{shown['epoch']}  owner {shown['owner'] or '-'}")
    head.add_row("source", shown["source"])
    head.add_row("sink", shown["sink"])
    head.add_row("filter", " ".join(shown["filter"]) or "every user table")
    head.add_row("position", position_text(shown["checkpoint"]))
    head.add_row("lag", lag_text(shown))
    if rates is not None:
        head.add_row("rate", f"{rates[0]:,.0f} transactions/s  {rates[1]:,.0f} rows/s")
    if shown["error"]:
        error = shown["error"]
        head.add_row("error", Text(f"{error['code']}: {error['message']}", style="red"))
        head.add_row("since", _error_text(error))
        if shown["attempts"]:
            retry = f", next at {shown['retry_at']}" if shown["retry_at"] else ""
            head.add_row("attempts", f"{shown['attempts']} failed{retry}")
    if rates is None:
        for warning in shown["warnings"]:
            head.add_row("warning", Text(f"{warning['found']}\nfix: {warning['fix']}", style="yellow"))
    parts: list[RenderableType] = [head]
    if shown["dispatchers"]:
        parts += [Text(), _dispatchers_table(shown["dispatchers"])]
    if rates is None and shown["ownership_changes"]:
        parts += [Text(), _changes_table(shown["ownership_changes"])]
    return Group(*parts)


def _error_text(error: dict[str, Any]) -> str:
    """When it began, and whom it concerns."""
    on = f" on {error['node']}" if error["node"] else ""
    at = f", at {position_text(error['position'])}" if error["position"] else ""
    whom = f"  dispatcher {error['dispatcher']}{on}{at}" if error["dispatcher"] else f" {on}"
    return f"{error['at'] if error['at'] != _NEVER else '-'}{whom}".rstrip()


def _dispatchers_table(dispatchers: list[dict[str, Any]]) -> Table:
    table = _table("DISPATCHER", "NODE", "STATE", "INCARNATION", "POSITION", "ROWS EVENTS")
    for each in sorted(dispatchers, key=lambda each: (each["node"], each["dispatcher"])):
        table.add_row(
            each["dispatcher"],
            each["node"],
            each["state"],
            f"{each['epoch']}.{each['generation']}",
            position_text(each["position"]),
            f"{each['rows_events']:,}",
        )
    return table


def _changes_table(changes: list[dict[str, Any]]) -> Table:
    table = _table("EPOCH", "NODE", "ROLE", "REASON", "AT")
    for change in reversed(changes):
        table.add_row(str(change["epoch"]), change["node"] or "-", change["role"], change["reason"], change["at"])
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _state(state: str) -> Text:
    return Text(state, style=_STATE_COLOURS.get(state, ""))


def position_text(position: dict[str, Any]) -> str:
    if not position["file"] and not position["gtid_set"]:
        return "-"
    place = f"{position['file']}:{position['offset']}" if position["file"] else ""
    gtid_set = position["gtid_set"].replace("\n", "")
    return f"{place} {gtid_set}".strip()


def lag_text(shown: dict[str, Any]) -> str:
    """Of a changefeed as `changefeed_dict` shows it."""
    seconds, since, size = shown["lag_seconds"], shown["lag_unknown_since"], shown["lag_bytes"]
    if seconds is None:
        text = f"unknown since {since[:19]}Z" if since else "-"
    else:
        text = f"{seconds:.1f} s" if seconds < 120 else _duration(seconds)
    return f"{text}, {_size(size)}" if size else text


def _size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:,.1f} TiB"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(int(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{seconds:02}s"
