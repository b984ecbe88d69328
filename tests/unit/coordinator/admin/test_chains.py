"""Which changefeeds may stand beside each other."""

from __future__ import annotations

import pytest

from hedgerow.common.mysql.uri import ServerUri
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.coordinator.admin.chains import chain_problems


def uri(host: str) -> str:
    return f"mysql://u@{host}/"


@pytest.mark.parametrize(
    ("other", "found"),
    [
        (("a", "b"), ""),
        (("b", "a"), ""),  # opposite directions
        (("a", "c"), ""),  # one source, two sinks
        (("c", "b"), ""),  # two sources, one sink
        (("c", "d"), ""),
        (("c", "a"), "source a:3306 is itself the sink of changefeed other, from c:3306"),
        (("b", "c"), "sink b:3306 is itself the source of changefeed other, to c:3306"),
    ],
)
def test_only_chains_are_refused(other: tuple[str, str], found: str) -> None:
    spec = pb.ChangefeedSpec(name="other", source=uri(other[0]), sink=uri(other[1]))
    problems = chain_problems("new", ServerUri.parse(uri("a")), ServerUri.parse(uri("b")), [spec])
    assert [found in problem.found for problem in problems] == ([True] if found else [])


def test_a_changefeed_is_no_chain_with_what_it_was() -> None:
    spec = pb.ChangefeedSpec(name="new", source=uri("c"), sink=uri("a"))
    assert chain_problems("new", ServerUri.parse(uri("a")), ServerUri.parse(uri("b")), [spec]) == []
