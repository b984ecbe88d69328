"""The tables that a terminal shows. Figures are medians; beside each ratio are the least and the most of its rounds.
`µs/txn` is CPU time, `peak` the memory of the node, `others` the machine's CPU that went to others."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from bench.aims import OURS
from bench.results import ApplyRow, ApplyRun, HugeRun, IdleRun, LatencyRun, apply_rows, latency_rows
from bench.spread import Spread

_RANGE = "least-most"


def apply_table(runs: Sequence[ApplyRun]) -> Table | None:
    if not runs:
        return None
    headings = ("windows", "seconds", "txn/s", "rows/s", "ratio", _RANGE, "sink µs/txn", "node µs/txn", _RANGE)
    table = _table("medians", *headings, "peak, MB", "others", "")
    for row in apply_rows(runs):
        table.add_row(
            row.contender,
            str(row.windows),
            f"{row.seconds.median:.2f}",
            f"{row.transactions_per_second.median:,.0f}",
            f"{row.rows_per_second:,.0f}",
            *_ratio(row.ratio),
            f"{row.sink_cpu_microseconds:,.1f}",
            *_microseconds(row.node_cpu_microseconds),
            _megabytes(row.node_peak_resident),
            f"{row.others:.0%}",
            _equal(row.equal),
        )
    return table


def latency_table(runs: Sequence[LatencyRun]) -> Table | None:
    if not runs:
        return None
    headings = ("windows", "samples", "p50, ms", "p95", "p99", "most", "p50 ratio", _RANGE, "p99 ratio", _RANGE)
    table = _table("medians", *headings, "node CPU", "peak, MB", "others", "")
    for row in latency_rows(runs):
        table.add_row(
            row.contender,
            str(row.windows),
            f"{row.samples:,}",
            *(f"{seconds * 1000:.1f}" for seconds in (row.p50, row.p95, row.p99, row.most)),
            *_ratio(row.p50_ratio),
            *_ratio(row.p99_ratio),
            _share(row.node_cpu_share),
            _megabytes(row.node_peak_resident),
            f"{row.others:.0%}",
            _equal(row.equal),
        )
    return table


def huge_table(runs: Sequence[HugeRun]) -> Table | None:
    if not runs:
        return None
    table = _table("one round", "rows", "seconds", "peak, MB", "")
    for run in runs:
        table.add_row(
            run.contender, f"{run.rows:,}", f"{run.seconds:.1f}", _megabytes(run.node_peak_resident), _equal(run.equal)
        )
    return table


def idle_table(runs: Sequence[IdleRun]) -> Table | None:
    if not runs:
        return None
    table = _table("CPU of one core", "node", "etcd", "source", "sink", "node, MB", "peak, MB")
    for run in runs:
        shares = (run.node_cpu_share, run.etcd_cpu_share, run.source_cpu_share, run.sink_cpu_share)
        table.add_row(
            f"{run.tables} idle tables" if run.tables else "no changefeed",
            *(_share(share) for share in shares),
            _megabytes(run.node_resident),
            _megabytes(run.node_peak_resident),
        )
    return table


def summary(sections: Sequence[tuple[str, str, Sequence[ApplyRow]]]) -> Table | None:
    """One line for each: a flavour's scenario, its sink, and Hedgerow next to whoever else is the fastest there."""
    headings = ("txn/s", "ratio to native", _RANGE, "node µs/txn", _RANGE, "window, s", "others")
    table = _table(OURS, "sink", *headings, "the fastest other", "txn/s")
    for name, sink, rows in sections:
        others = [row for row in rows if not row.contender.startswith(OURS)]
        best = max(others, key=lambda row: row.transactions_per_second.median, default=None)
        for row in rows:
            if row.contender.startswith(OURS):
                table.add_row(
                    name + row.contender.removeprefix(OURS),
                    sink,
                    f"{row.transactions_per_second.median:,.0f}",
                    *_ratio(row.ratio),
                    *_microseconds(row.node_cpu_microseconds),
                    f"{row.seconds.least:.1f}-{row.seconds.most:.1f}",
                    f"{row.others:.0%}",
                    best.contender if best else "",
                    f"{best.transactions_per_second.median:,.0f}" if best else "",
                )
    return table if table.row_count else None


def _table(first: str, *headings: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(first, overflow="fold")  # where it is narrow, names are broken and figures are not
    for heading in headings:
        table.add_column(heading.replace(" ", "\n"), justify="right", no_wrap=True)
    return table


def _ratio(ratio: Spread | None) -> tuple[str, str]:
    return ("", "") if ratio is None else (f"{ratio.median:.2f}", f"{ratio.least:.2f}-{ratio.most:.2f}")


def _microseconds(figure: Spread | None) -> tuple[str, str]:
    return ("", "") if figure is None else (f"{figure.median:.1f}", f"{figure.least:.1f}-{figure.most:.1f}")


def _share(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _megabytes(size: int | None) -> str:
    return f"{size / 1e6:.0f}" if size else ""


def _equal(equal: bool) -> str:
    return "equal" if equal else "[red]DIFFERS[/red]"
