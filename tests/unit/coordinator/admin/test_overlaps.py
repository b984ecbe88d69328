"""Two changefeeds never write to the same table of a sink: what the cluster's own list tells."""

from __future__ import annotations

import pytest

from hedgerow.common.mysql.uri import ServerUri
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.coordinator.admin.overlaps import overlap_problems

SINK = ServerUri.parse("mysql://u@sink:3306/")


def spec(name: str, *rules: str, sink: str = "mysql://other@sink:3306/") -> pb.ChangefeedSpec:
    return pb.ChangefeedSpec(name=name, source="mysql://u@source:3306/", sink=sink, filter=rules)


@pytest.mark.parametrize(
    ("rules", "other", "refused"),
    [
        (["app.*"], spec("old", "app.*"), True),
        (["app.*"], spec("old"), True),
        (["app.*", "!app.t"], spec("old", "app.t"), False),
        (["app.*"], spec("old", "shop.*"), False),
        (["app.*"], spec("old", "app.*", sink="mysql://u@elsewhere:3306/"), False),
        (["app.*"], spec("new", "app.*"), False),  # itself, updated
    ],
)
def test_overlaps(rules: list[str], other: pb.ChangefeedSpec, refused: bool) -> None:
    problems = overlap_problems("new", SINK, rules, [other, spec("far", "away.*")])
    assert len(problems) == refused
    if refused:
        assert "changefeed old" in problems[0].found
        assert "remove changefeed old first" in problems[0].fix
