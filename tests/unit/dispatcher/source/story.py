"""What a tracker says of a stream, as text: one line for each thing that happens."""

from __future__ import annotations

from collections.abc import Iterable

from hedgerow.dispatcher.source import transactions as t


def tell(tracker: t.Tracker, events: Iterable[bytes]) -> list[str]:
    lines = []
    xid = ""
    for event in events:
        what = tracker.feed(event)
        if what in (t.BEGIN, t.XA_BEGIN):
            xid = tracker.xid
            lines.append(f"begin {tracker.gtid}")
        elif what in (t.TABLE_MAP, t.ROWS):
            assert tracker.table is not None
            name = "map" if what == t.TABLE_MAP else f"rows {event[4]}"
            lines.append(f"  {name} {tracker.table.schema}.{tracker.table.table}")
        elif what == t.DDL:
            before = tracker.position()
            statement = tracker.statement
            assert statement is not None
            lines.append(f"ddl {statement.gtid} [{statement.default_schema}] {statement.text}")
            lines.append(f"  ends at {statement.file}:{statement.offset}, rows follow: {statement.rows_follow}")
            lines.append("  " + ", ".join(f"{k}={v}" for k, v in statement.session.items() if k != "timestamp"))
            if statement.error_code:
                lines.append(f"  failed with {statement.error_code}")
            tracker.finish_statement()
            assert (tracker.position() == before) == statement.rows_follow
        elif what in (t.XA_PREPARE, t.XA_COMMIT, t.XA_ROLLBACK):
            assert xid == tracker.xid or what != t.XA_PREPARE
            name = {t.XA_PREPARE: "prepare", t.XA_COMMIT: "commit", t.XA_ROLLBACK: "rollback"}[what]
            lines.append(f"xa {name} {tracker.xid} -> {tracker.position()}")
        elif what == t.UNDONE:
            lines.append(f"  undone since {tracker.undone}, now {tracker.marker}")
        elif what == t.ROLLED_BACK:
            lines.append(f"rolled back since {tracker.undone}")
            lines.append(f"end {tracker.gtid} -> {tracker.position()}")
        elif what in (t.END, t.XA_ONE_PHASE):
            lines.append(f"end {tracker.gtid} -> {tracker.position()}")
    return lines


def events_of_file(data: bytes) -> list[bytes]:
    """The events of a binlog file as they are on disk."""
    assert data[:4] == b"\xfebin"
    events, at = [], 4
    while at < len(data):
        size = int.from_bytes(data[at + 9 : at + 13], "little")
        events.append(data[at : at + size])
        at += size
    return events
