"""Which positions may begin at their file and offset, and what has to come then."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from common.mysql import Flavour
from common.position import Position
from dispatcher.source import events as e
from dispatcher.source.place import Doubted, Proof, has_place
from tests.unit.source.packets import make_event

UUID = "00000000-0000-0000-0000-000000000001"
OTHER = "00000000-0000-0000-0000-000000000002"
MADE = 1_000_000  # when the file was
ROTATE = make_event(e.ROTATE, bytes(8) + b"binlog.000003")
HEARTBEAT = make_event(e.HEARTBEAT, b"binlog.000003")
QUERY = make_event(e.QUERY, bytes(20))


def position(flavour: Flavour, gtid_set: str = "") -> Position:
    gtid_set = gtid_set or ("0-1-7" if flavour == "mariadb" else f"{UUID}:1-7,{OTHER}:5")
    return Position(gtid_set, "binlog.000003", 700, "s1", MADE + 10.0)


def description(made: int = MADE) -> bytes:
    return make_event(e.FORMAT_DESCRIPTION, bytes(60), timestamp=made)


def gtid(flavour: Flavour, number: int, source: int = 1, domain: int = 0) -> bytes:
    if flavour == "mariadb":
        return make_event(e.MARIADB_GTID, struct.pack("<QIB", number, domain, 0) + bytes(6))
    return make_event(e.GTID, b"\0" + bytes(15) + bytes([source]) + struct.pack("<Q", number))


@pytest.mark.parametrize("flavour", ["mariadb", "mysql"])
def test_only_what_was_read_from_this_server_has_a_place(flavour: Flavour) -> None:
    start = position(flavour)
    assert has_place(start, "s1", flavour)
    assert not has_place(start, "s2", flavour)
    assert not has_place(replace(start, file=""), "s1", flavour)
    assert not has_place(replace(start, gtid_set=""), "s1", flavour)
    assert not has_place(replace(start, offset=1 << 32), "s1", flavour)
    assert not has_place(replace(start, commit_time=0.0), "s1", flavour), "asked of the server, not read: not atomic"


def test_mariadb_has_none_with_several_domains() -> None:
    assert not has_place(position("mariadb", "0-1-7,1-1-3"), "s1", "mariadb")


@pytest.mark.parametrize("flavour", ["mariadb", "mysql"])
def test_the_next_transaction_of_the_same_file_is_the_proof(flavour: Flavour) -> None:
    proof = Proof(position(flavour), flavour)
    proof.judge([ROTATE, description(), HEARTBEAT])
    assert not proof.done
    proof.judge([ROTATE, description(MADE + 1000)])  # the next file: it is newer
    proof.judge([gtid(flavour, 8), QUERY])
    assert proof.done
    proof.judge([QUERY])


@pytest.mark.parametrize("flavour", ["mariadb", "mysql"])
@pytest.mark.parametrize("made", [MADE + 10, MADE + 11])
def test_a_file_that_is_not_older_than_the_position_is_doubted(flavour: Flavour, made: int) -> None:
    with pytest.raises(Doubted, match="was made at"):
        Proof(position(flavour), flavour).judge([ROTATE, description(made)])


@pytest.mark.parametrize("flavour", ["mariadb", "mysql"])
@pytest.mark.parametrize("number", [1, 7, 9])
def test_a_transaction_that_does_not_follow_is_doubted(flavour: Flavour, number: int) -> None:
    with pytest.raises(Doubted, match="does not follow"):
        Proof(position(flavour), flavour).judge([ROTATE, description(), gtid(flavour, number)])


@pytest.mark.parametrize(
    ("flavour", "event"),
    [
        ("mysql", gtid("mysql", 1, source=3)),
        ("mysql", gtid("mysql", 5, source=2)),
        ("mariadb", gtid("mariadb", 1, domain=4)),
        ("mysql", make_event(e.ANONYMOUS_GTID, bytes(25))),
        ("mariadb", QUERY),
        ("mysql", make_event(e.TABLE_MAP, bytes(20))),
    ],
)
def test_what_proves_nothing_is_doubted(flavour: Flavour, event: bytes) -> None:
    with pytest.raises(Doubted):
        Proof(position(flavour), flavour).judge([ROTATE, description(), event])


def test_nothing_is_proved_before_the_file_is_known() -> None:
    with pytest.raises(Doubted, match="before the format"):
        Proof(position("mysql"), "mysql").judge([ROTATE, gtid("mysql", 8)])
