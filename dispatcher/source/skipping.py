"""Which transactions a user has left out, as the tracker meets them."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from typing import Final

from hedgerow.common.binlog.skips import Skip
from hedgerow.dispatcher.source.statements import Statement, StatementKind

UNREADABLE: Final = "?"  # instead of the text of a statement that cannot be read; no statement begins so
_TO_SAVEPOINT: Final = re.compile(r"ROLLBACK\s+(?:WORK\s+)?TO\b", re.IGNORECASE)


class Skipping:
    """Empty (false) for almost every changefeed."""

    def __init__(self, skips: Iterable[Skip] = ()) -> None:
        self._by_gtid = {skip.gtid: skip.tables for skip in skips if skip.gtid}
        self._by_place = {(skip.file, skip.offset): skip.tables for skip in skips if not skip.gtid}

    def __bool__(self) -> bool:
        return bool(self._by_gtid or self._by_place)

    def find(self, gtid: str, file: str, offset: int) -> frozenset[str] | None:
        """Whose rows are left out of the transaction that is announced here; empty: everyone's. None: it is not."""
        if gtid:
            return self._by_gtid.get(gtid)
        return self._by_place.get((file, offset))


def kind_left_out(kind: StatementKind, text: str) -> StatementKind:
    """As what a statement counts in a transaction that is left out: only where it ends matters, and its DDL."""
    if kind == StatementKind.ROLLBACK:
        return StatementKind.IGNORABLE if _TO_SAVEPOINT.match(text) else StatementKind.COMMIT
    return StatementKind.IGNORABLE if kind == StatementKind.CHANGE else kind


def unreadable(gtid: str, file: str, event: bytes, *, inside: bool) -> Statement:
    """A statement of a transaction that is left out, of which nothing else is known."""
    timestamp, offset = struct.unpack_from("<I9xI", event)
    return Statement(
        text=UNREADABLE,
        default_schema="",
        gtid=gtid,
        file=file,
        offset=offset,
        timestamp=timestamp,
        session={"timestamp": timestamp, "character_set_client": "utf8mb4"},
        rows_follow=inside,
        alter_phase="",
        is_ours=False,
        event=event,
        raw=UNREADABLE.encode(),
        error_code=0,
        skipped=True,
    )
