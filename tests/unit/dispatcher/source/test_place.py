"""Which positions may begin at their file and offset, where the source has proved them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hedgerow.common.binlog.mark import Mark
from hedgerow.common.binlog.position import Position
from hedgerow.common.mysql.connect import Flavour
from hedgerow.dispatcher.source.history import has_place

UUID = "00000000-0000-0000-0000-000000000001"
FILE = "binlog.000003"


def at(flavour: Flavour, begin: int, offset: int, gtid_set: str = "") -> Position:
    gtid_set = gtid_set or ("0-1-7" if flavour == "mariadb" else f"{UUID}:1-7")
    return Position(gtid_set, FILE, offset, "s1", 10.0, Mark("", 0, 0, begin, 1, 1).write(FILE, offset))


@pytest.mark.parametrize("flavour", ["mariadb", "mysql"])
def test_only_what_was_read_from_this_server_has_a_place(flavour: Flavour) -> None:
    start = at(flavour, 500, 700)
    assert has_place(start, "s1", flavour)
    assert not has_place(start, "s2", flavour)
    assert not has_place(replace(start, file=""), "s1", flavour)
    assert not has_place(replace(start, gtid_set=""), "s1", flavour)
    assert not has_place(replace(start, commit_time=0.0), "s1", flavour), "asked of the server, not read: not atomic"
    assert not has_place(replace(start, mark=""), "s1", flavour)


@pytest.mark.parametrize("flavour", ["mariadb", "mysql"])
def test_an_offset_is_proved_by_what_ends_there(flavour: Flavour) -> None:
    """A transaction that is too large to be read again may have gone beyond 4 GiB without saying so."""
    assert has_place(at(flavour, 0, 4), "s1", flavour), "where a file begins, something ends"
    assert not has_place(at(flavour, 0, 700), "s1", flavour)
    assert not has_place(at(flavour, 500, 500 + (1 << 30)), "s1", flavour)
    assert not has_place(at(flavour, (1 << 32) - 9, (1 << 32) + 9), "s1", flavour)


def test_mariadb_has_none_with_several_domains() -> None:
    assert not has_place(at("mariadb", 500, 700, "0-1-7,1-1-3"), "s1", "mariadb")
