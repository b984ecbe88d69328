"""Transactions to leave out: how users name them, and what messages print."""

from __future__ import annotations

import pytest

from hedgerow.common.binlog.position import Position
from hedgerow.common.binlog.skips import Skip, command, one_gtid, place, table_key, way_past
from hedgerow.common.errors import BadInput
from hedgerow.common.mysql.filter import TableFilter

A = "3e11fa47-71ca-11e1-9e33-c80aa9429562"


def test_a_gtid_is_written_as_positions_write_it() -> None:
    assert one_gtid("mariadb", " 0-01-5 ") == "0-1-5"
    assert one_gtid("mysql", f" {A.upper()}:7 ") == f"{A}:7"
    assert one_gtid("mysql", f"{A}:Tag_1:7") == f"{A}:tag_1:7"
    for flavour, text in (("mariadb", "0-1"), ("mariadb", "0-1-5,1-1-6"), ("mysql", f"{A}:1-2"), ("mysql", "x:1")):
        with pytest.raises(BadInput, match="one transaction"):
            one_gtid(flavour, text)  # type: ignore[arg-type]


def test_places_and_tables() -> None:
    assert place("binlog.000001:42") == ("binlog.000001", 42)
    with pytest.raises(BadInput):
        place("binlog.000001")
    assert table_key("a.b.c", TableFilter.parse(["a.*"])) == "a.b.c"
    for text in ("b.c", "a", ""):
        with pytest.raises(BadInput, match=r"SCHEMA\.TABLE"):
            table_key(text, TableFilter.parse(["a.*"]))


def test_what_messages_print() -> None:
    assert command("shop", "0-1-5", "b", 4) == "hedgerow changefeed skip shop --transaction 0-1-5"
    assert command("shop", "", "b.01", 4, ["s.t"]) == "hedgerow changefeed skip shop --at b.01:4 --table 's.t'"
    assert way_past("shop", "", "b.01", 4).startswith(
        "To go on without it: hedgerow changefeed skip shop --at b.01:4; "
    )
    assert way_past("shop", "0-1-5", "", 0, ["s.t"]).startswith("To go on without what it has of s.t: hedgerow ")


def test_who_is_past_it() -> None:
    at = Position("0-1-5", "b.000002", 100, "1")
    assert Skip.of_key("0-1-5").is_before(at, "mariadb")
    assert not Skip.of_key("0-1-6").is_before(at, "mariadb")
    assert Skip.of_key(f"{A}:7") == Skip(f"{A}:7")
    assert Skip.of_key("b.000002:100").is_before(at, "mysql")
    assert not Skip.of_key("b.000002:101").is_before(at, "mysql")
    assert not Skip.of_key("b.000010:4").is_before(at, "mysql")
