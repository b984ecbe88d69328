"""Finding a transaction among what SHOW BINLOG EVENTS lists; rows as both servers show them."""

from __future__ import annotations

import pytest

from hedgerow.common.binlog.listed import ListedEvent
from hedgerow.common.errors import BadInput
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.coordinator.admin.options import SKIPS_KEPT, with_skip
from hedgerow.coordinator.admin.skipping import walk

U = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
MYSQL = (
    ("Format_desc", 126, "Server ver: 9.7.4"),
    ("Previous_gtids", 157, ""),
    ("Gtid", 236, f"SET @@SESSION.GTID_NEXT= '{U}:1'"),
    ("Query", 340, "use `d`; CREATE TABLE t (a INT) /* xid=5 */"),
    ("Gtid", 417, f"SET @@SESSION.GTID_NEXT= '{U}:2'"),
    ("Query", 490, "BEGIN"),
    ("Table_map", 540, "table_id: 90 (d.t)"),
    ("Write_rows", 580, "table_id: 90 flags: STMT_END_F"),
    ("Xid", 611, "COMMIT /* xid=8 */"),
    ("Anonymous_Gtid", 690, "SET @@SESSION.GTID_NEXT= 'ANONYMOUS'"),
    ("Query", 760, "BEGIN"),
    ("Query", 850, "use `d`; INSERT INTO t VALUES (1)"),
    ("Query", 930, "COMMIT"),
    ("Rotate", 970, "b.000002;pos=4"),
)
MARIADB = (
    ("Format_desc", 256, "Server ver: 10.11.19"),
    ("Gtid_list", 285, "[]"),
    ("Binlog_checkpoint", 325, "b.000001"),
    ("Gtid", 367, "GTID 0-1-1"),
    ("Query", 450, "CREATE DATABASE d"),
    ("Gtid", 492, "BEGIN GTID 0-1-2 cid=7"),
    ("Annotate_rows", 550, "INSERT INTO t VALUES (1)"),
    ("Table_map", 590, "table_id: 18 (d.t)"),
    ("Write_rows_v1", 630, "table_id: 18 flags: STMT_END_F"),
    ("Xid", 661, "COMMIT /* xid=12 */"),
    ("Incident", 700, "#1 (LOST_EVENTS)"),
    ("Gtid", 742, "XA START X'61',X'',1 GTID 0-1-3"),
    ("Query", 800, "XA END X'61',X'',1"),
    ("XA_prepare", 840, "XA PREPARE X'61',X'',1"),
    ("Gtid", 882, "GTID 0-1-4"),
    ("Query", 950, "XA COMMIT X'61',X'',1"),
)


def listed(rows: tuple[tuple[str, int, str], ...]) -> list[ListedEvent]:
    begins = [4, *(end for _, end, _ in rows)]
    return [
        ListedEvent("b.000001", begin, end, kind, info) for begin, (kind, end, info) in zip(begins, rows, strict=False)
    ]


@pytest.mark.parametrize(
    ("rows", "gtid", "offset", "expected"),
    [
        (MYSQL, f"{U}:1", 0, (f"{U}:1", 236, "CREATE TABLE t")),
        (MYSQL, f"{U}:2", 0, (f"{U}:2", 417, "Table_map table_id: 90 (d.t); Write_rows")),
        (MYSQL, "", 236, (f"{U}:1", 236, "CREATE TABLE t")),
        (MYSQL, "", 340, (f"{U}:1", 236, "CREATE TABLE t")),
        (MYSQL, "", 540, (f"{U}:2", 417, "BEGIN")),
        (MYSQL, "", 611, (f"{U}:2", 417, "BEGIN")),
        (MYSQL, "", 850, ("", 690, "INSERT INTO t")),
        (MYSQL, "", 970, ("", 970, "Rotate")),
        (MARIADB, "0-1-1", 0, ("0-1-1", 367, "CREATE DATABASE d")),
        (MARIADB, "0-1-2", 0, ("0-1-2", 492, "INSERT INTO t")),
        (MARIADB, "", 630, ("0-1-2", 492, "INSERT INTO t")),
        (MARIADB, "", 700, ("", 700, "LOST_EVENTS")),
        (MARIADB, "", 800, ("0-1-3", 742, "XA END")),
        (MARIADB, "0-1-4", 0, ("0-1-4", 882, "XA COMMIT")),
    ],
)
def test_it_is_found(
    rows: tuple[tuple[str, int, str], ...], gtid: str, offset: int, expected: tuple[str, int, str]
) -> None:
    found = walk(listed(rows), gtid, ("b.000001", offset))
    assert found is not None
    assert (found.gtid, found.offset) == expected[:2]
    assert expected[2] in found.what


def test_what_is_not_there_is_not_found() -> None:
    assert walk(listed(MYSQL), f"{U}:3", ("", 0)) is None
    assert walk(listed(MYSQL), "", ("b.000001", 541)) is None
    assert walk(listed(MYSQL), "", ("b.000002", 540)) is None


def test_long_transactions_are_shown_in_part() -> None:
    rows = (MYSQL[4], MYSQL[5], *((kind, 540 + n, info) for n in range(20) for kind, _, info in MYSQL[6:7]))
    found = walk(listed(rows), f"{U}:2", ("", 0))
    assert found is not None
    assert found.what.endswith("; and 13 more events")


def test_the_list_is_bounded() -> None:
    spec = pb.ChangefeedSpec(name="shop")
    for number in range(SKIPS_KEPT):
        spec = with_skip(spec, pb.Skip(gtid=f"0-1-{number}"), lambda _: False)
    again = with_skip(spec, pb.Skip(gtid="0-1-3", by="me"), lambda _: False)
    assert [skip.gtid for skip in again.skips].count("0-1-3") == 1
    assert again.skips[-1].by == "me"
    with pytest.raises(BadInput, match="resume it first"):
        with_skip(spec, pb.Skip(gtid="0-1-99"), lambda _: False)
    passed = with_skip(spec, pb.Skip(gtid="0-1-99"), lambda skip: skip.gtid == "0-1-7")
    assert len(passed.skips) == SKIPS_KEPT
    assert "0-1-7" not in [skip.gtid for skip in passed.skips]
