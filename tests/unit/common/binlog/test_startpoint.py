"""Following transactions through SHOW BINLOG EVENTS."""

from __future__ import annotations

import pytest

from hedgerow.common.binlog.listed import ListedEvent
from hedgerow.common.binlog.startpoint import walk

A = "3e11fa47-71ca-11e1-9e33-c80aa9429562"


def listed(*events: tuple[str, str]) -> list[ListedEvent]:
    return [ListedEvent("b.000001", 4 + 10 * i, 14 + 10 * i, kind, info) for i, (kind, info) in enumerate(events)]


MYSQL = listed(
    ("Format_desc", ""),
    ("Previous_gtids", f"{A}:1-5"),
    ("Gtid", f"SET @@SESSION.GTID_NEXT= '{A}:6'"),
    ("Query", "use `a`; CREATE TABLE t (x int)"),
    ("Gtid_tagged_log_event", f"SET @@SESSION.GTID_NEXT= '{A}:tag:1'"),
    ("Query", "BEGIN"),
    ("Query", "use `a`; CREATE TABLE c (x int) START TRANSACTION"),
    ("Write_rows", ""),
    ("Xid", "COMMIT /* xid=5 */"),
    ("Gtid", f"SET @@SESSION.GTID_NEXT= '{A}:8'"),
    ("Query", "XA START X'31',X'',1"),
    ("Query", "XA END X'31',X'',1"),
    ("XA_prepare", ""),
    ("Anonymous_Gtid", "SET @@SESSION.GTID_NEXT= 'ANONYMOUS'"),
    ("Transaction_payload", ""),
)
MARIADB = listed(
    ("Format_desc", ""),
    ("Gtid_list", "[0-1-1]"),
    ("Gtid", "GTID 0-1-2"),
    ("Query", "CREATE TABLE t (x int)"),
    ("Gtid", "BEGIN GTID 0-1-3"),
    ("Query", "SAVEPOINT `s`"),
    ("Write_rows_v1", ""),
    ("Query", "COMMIT"),
    ("Gtid", "XA START X'31',X'',1 GTID 0-1-4"),
    ("Query", "XA END X'31',X'',1"),
    ("XA_prepare", ""),
)


@pytest.mark.parametrize(
    ("events", "mysql", "good"),
    [(MYSQL, True, [0, 1, 2, 4, 9, 13, 15]), (MARIADB, False, [0, 1, 2, 4, 8, 11])],
)
def test_only_places_between_transactions_are_starts(events: list[ListedEvent], mysql: bool, good: list[int]) -> None:
    size = events[-1].begin + 10
    found = [i for i in range(len(events) + 1) if not walk(events, 4 + 10 * i, size, mysql=mysql).problem]
    assert found == good
    for offset in range(4, size + 1):
        boundary = 4 + 10 * max(i for i in good if 4 + 10 * i <= offset)
        assert walk(events, offset, size, mysql=mysql).boundary == boundary
    assert "begins" in walk(events, 5, size, mysql=mysql).problem


def test_gtids_count_from_the_end_of_their_transaction() -> None:
    assert str(walk(MYSQL, 24, 154, mysql=True).gtids) == f"{A}:1-5"
    assert str(walk(MYSQL, 4, 154, mysql=True).gtids) == f"{A}:1-5", "before the event that says so"
    assert str(walk(MYSQL, 44, 154, mysql=True).gtids) == f"{A}:1-6"
    assert str(walk(MYSQL, 154, 154, mysql=True).gtids) == f"{A}:1-6:8:tag:1"
