"""The live view of one changefeed."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import AsyncIterator

import click
from rich.console import Console
from rich.live import Live

from hedgerow.cli import render
from hedgerow.common.pb.v1 import admin_pb2 as pb


class Rates:
    """Transactions and rows per second between two looks at one maintainer's counters."""

    def __init__(self) -> None:
        self._epoch, self._at, self._transactions, self._rows = -1, 0.0, 0, 0

    def update(self, feed: pb.Changefeed, now: float) -> tuple[float, float]:
        live, rates = feed.live, (0.0, 0.0)
        elapsed = now - self._at
        if feed.ownership.epoch == self._epoch and elapsed > 0 and live.rows >= self._rows:
            transactions = max(live.transactions - self._transactions, 0)
            rates = (transactions / elapsed, (live.rows - self._rows) / elapsed)
        self._epoch, self._at = feed.ownership.epoch, now
        self._transactions, self._rows = live.transactions, live.rows
        return rates


async def show_live(feeds: AsyncIterator[pb.Changefeed], count: int | None, *, as_json: bool) -> None:
    """A full-screen view on a terminal; elsewhere a line for each update, as JSON where asked."""
    rates, seen = Rates(), 0
    console = Console(highlight=False)
    live = None if as_json or not sys.stdout.isatty() else Live(console=console, auto_refresh=False)
    if live is not None:
        live.start()
    try:
        async for feed in feeds:
            rate = rates.update(feed, time.monotonic())
            if live is not None:
                live.update(render.changefeed_view(feed, rate), refresh=True)
            else:
                click.echo(_line(feed, rate, as_json))
                sys.stdout.flush()
            seen += 1
            if seen == count:
                return
    finally:
        if live is not None:
            live.stop()


def _line(feed: pb.Changefeed, rate: tuple[float, float], as_json: bool) -> str:
    shown = render.changefeed_dict(feed)
    if as_json:
        return json.dumps({**shown, "transactions_per_second": rate[0], "rows_per_second": rate[1]})
    return (
        f"{shown['name']} {shown['state']} epoch {shown['epoch']} owner {shown['owner'] or '-'} "
        f"position {render.position_text(shown['checkpoint'])} lag {render.lag_text(shown)} "
        f"{rate[0]:,.0f} transactions/s {rate[1]:,.0f} rows/s {len(shown['dispatchers'])} dispatchers"
    )
