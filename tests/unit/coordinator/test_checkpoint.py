"""A checkpoint on record never goes back."""

from __future__ import annotations

import pytest

from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.coordinator.checkpoint import advances

ONE, TWO = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"


def at(gtid_set: str = "", file: str = "binlog.000001", offset: int = 4, source_id: str = "s") -> pb.Position:
    return pb.Position(gtid_set=gtid_set, file=file, offset=offset, source_id=source_id)


@pytest.mark.parametrize(
    ("recorded", "reported", "flavour", "expected"),
    [
        (None, at(), "mysql", True),
        (at(), at(), "mysql", False),
        (at(offset=4), at(offset=5), "mysql", True),
        (at(offset=5), at(offset=4), "mysql", False),
        (at(file="binlog.000009", offset=9), at(file="binlog.000010", offset=4), "mysql", True),
        (at(f"{ONE}:1-5"), at(f"{ONE}:1-6", offset=5), "mysql", True),
        (at(f"{ONE}:1-6"), at(f"{ONE}:1-5", offset=5), "mysql", False),
        (at(f"{ONE}:1-5,{TWO}:1"), at(f"{ONE}:1-9", offset=5), "mysql", False),
        (at("0-1-5"), at("0-1-5,1-1-1", offset=9), "mariadb", True),
        (at("0-1-5"), at("0-1-4", offset=9), "mariadb", False),
        (at(f"{ONE}:1-5", offset=900), at(f"{ONE}:1-6", offset=4, source_id="t"), "mysql", True),
        (at(f"{ONE}:1-5"), at(f"{ONE}:1-5", offset=900, source_id="t"), "mysql", False),
        (at(offset=4), at(offset=5, source_id="t"), "mysql", False),
    ],
)
def test_only_what_has_reached_the_record_and_more_advances(
    recorded: pb.Position | None, reported: pb.Position, flavour: str, expected: bool
) -> None:
    assert advances(recorded, reported, flavour) is expected
