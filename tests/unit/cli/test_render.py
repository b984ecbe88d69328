"""What the command line prints, without a cluster."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import AsyncIterator

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from hedgerow.cli import render
from hedgerow.cli.watch import Rates, show_live
from hedgerow.common.pb.v1 import admin_pb2 as pb
from hedgerow.common.pb.v1 import maintainer_pb2, model_pb2


def feed(*, transactions: int = 0, rows: int = 0, epoch: int = 3) -> pb.Changefeed:
    position = model_pb2.Position(gtid_set="0-1-9", file="binlog.000001", offset=99, source_id="1")
    error = model_pb2.ChangefeedError(code="SinkUnavailable", message="the sink is down", retriable=True, node="n1-1")
    return pb.Changefeed(
        spec=model_pb2.ChangefeedSpec(
            name="shop",
            uid="u",
            source="mysql://s@h:1/",
            sink="mysql://s@h:2/",
            filter=["shop.*"],
            flavour="mariadb",
            options=model_pb2.ChangefeedOptions(consistency=model_pb2.TABLE, lanes=1),
        ),
        ownership=model_pb2.Ownership(
            uid="u",
            epoch=epoch,
            node="n1-1",
            role=model_pb2.RUN,
            changes=[
                model_pb2.OwnershipChange(epoch=2, node="n2-1", role=model_pb2.RUN, reason="created by user"),
                model_pb2.OwnershipChange(epoch=3, node="n1-1", role=model_pb2.RUN, reason="node n2-1 is dead"),
            ],
        ),
        lag=model_pb2.Lag(seconds=1.25, known=True, bytes=2048),
        status=model_pb2.ChangefeedStatus(state=model_pb2.WARNING, error=error, attempts=2),
        live=maintainer_pb2.MaintainerStatus(
            checkpoint=position,
            transactions=transactions,
            rows=rows,
            dispatchers=[
                model_pb2.DispatcherStatus(
                    dispatcher="shop.orders", node="n1-1", epoch=3, generation=1, state=model_pb2.RUNNING
                )
            ],
        ),
    )


def test_json_names_what_scripts_need(capsys: pytest.CaptureFixture[str]) -> None:
    render.changefeed(feed(), as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert (shown["state"], shown["epoch"], shown["owner"], shown["lag_seconds"]) == ("warning", 3, "n1-1", 1.25)
    assert shown["checkpoint"]["gtid_set"] == "0-1-9"
    assert shown["error"]["code"] == "SinkUnavailable"
    assert [change["epoch"] for change in shown["ownership_changes"]] == [2, 3]
    assert shown["dispatchers"][0]["state"] == "running"


def test_the_view_for_people_has_no_colour_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    render.changefeed(feed(), as_json=False)
    out = capsys.readouterr().out
    assert "\x1b" not in out
    for expected in ("warning", "n1-1", "binlog.000001:99 0-1-9", "1.2 s", "the sink is down", "node n2-1 is dead"):
        assert expected in out


def test_lists(capsys: pytest.CaptureFixture[str]) -> None:
    render.changefeeds([], as_json=False)
    assert "no changefeeds" in capsys.readouterr().out
    started = Timestamp()
    started.FromSeconds(int(time.time()) - 3700)
    info = model_pb2.NodeInfo(id="n1-1", address="h:7300", liveness=model_pb2.DRAINING, started=started)
    render.nodes([pb.Node(info=info, coordinator=True, maintains=["shop"], dispatchers=4)], as_json=False)
    out = capsys.readouterr().out
    for expected in ("n1-1", "h:7300", "draining", "coordinator", "no", "shop", "4", "1h01m"):
        assert expected in out


def test_rates_are_told_between_two_looks_at_one_epoch() -> None:
    rates = Rates()
    assert rates.update(feed(transactions=100, rows=1000), 10.0) == (0.0, 0.0)
    assert rates.update(feed(transactions=150, rows=1400), 12.0) == (25.0, 200.0)
    assert rates.update(feed(transactions=10, rows=10, epoch=4), 13.0) == (0.0, 0.0)
    assert rates.update(feed(transactions=30, rows=20, epoch=4), 14.0) == (20.0, 10.0)


async def _two_updates() -> AsyncIterator[pb.Changefeed]:
    yield feed(transactions=1)
    yield feed(transactions=2)


def test_an_error_tells_since_when_where_and_what_happens_next(capsys: pytest.CaptureFixture[str]) -> None:
    shown = feed()
    shown.ClearField("live")  # of one that has failed nobody reports
    error = shown.status.error
    error.dispatcher = "shop.orders"
    error.at.FromJsonString("2026-11-25T13:41:03Z")
    error.position.CopyFrom(model_pb2.Position(file="binlog.000007", offset=77))
    shown.status.retry_at.FromJsonString("2026-11-25T13:42:00Z")
    render.changefeed(shown, as_json=False)
    out = capsys.readouterr().out
    assert "2026-11-25T13:41:03Z  dispatcher shop.orders on n1-1, at binlog.000007:77" in out
    assert "2 failed, next at 2026-11-25T13:42:00Z" in out
    render.changefeeds([shown], as_json=False)
    assert "2026-11-25T13:41:03Z" in capsys.readouterr().out
    render.changefeed(shown, as_json=True)
    assert json.loads(capsys.readouterr().out)["error"]["position"]["offset"] == 77


def test_a_lag_that_is_not_known_tells_since_when(capsys: pytest.CaptureFixture[str]) -> None:
    shown = feed()
    assert "1.2 s, 2.0 KiB" in render.lag_text(render.changefeed_dict(shown))
    shown.lag.known = False
    shown.lag_unknown_since.FromJsonString("2026-11-25T13:41:03.5Z")
    assert render.lag_text(render.changefeed_dict(shown)) == "unknown since 2026-11-25T13:41:03Z, 2.0 KiB"
    document = render.changefeed_dict(shown)
    assert (document["lag_seconds"], document["lag_unknown_since"]) == (None, "2026-11-25T13:41:03.500Z")
    shown.ClearField("lag")
    shown.ClearField("lag_unknown_since")
    assert render.lag_text(render.changefeed_dict(shown)) == "-"


async def test_watch_prints_a_line_for_each_update_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    await show_live(_two_updates(), None, as_json=True)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["transactions"] for line in lines] == [1, 2]
    assert "transactions_per_second" in lines[0]
    await show_live(_two_updates(), 1, as_json=False)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("shop warning epoch 3 owner n1-1 position binlog.000001:99")


async def test_watch_redraws_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    await show_live(_two_updates(), None, as_json=False)
    out = capsys.readouterr().out
    assert "\x1b[" in out
    assert "rows/s" in out
    assert "shop.orders" in out
