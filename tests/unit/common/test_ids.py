from __future__ import annotations

import re

import pytest

from hedgerow.common.errors import BadInput
from hedgerow.common.ids import Keys, changefeed_name, new_changefeed_uid, new_node_id


@pytest.mark.parametrize("name", ["a", "0", "orders-eu_1.v2", "a" * 63])
def test_changefeed_names(name: str) -> None:
    assert changefeed_name(name) == name


@pytest.mark.parametrize("name", ["", "A", "-a", ".a", "_a", "a/b", "a b", "a\n", "a" * 64, "é"])
def test_what_is_no_changefeed_name(name: str) -> None:
    with pytest.raises(BadInput, match="not a changefeed name"):
        changefeed_name(name)


def test_a_node_id_is_its_name_and_new_every_time() -> None:
    first, second = new_node_id("db-1"), new_node_id("db-1")
    assert re.fullmatch(r"db-1-[0-9a-f]{8}", first)
    assert first != second


def test_a_uid_is_new_every_time() -> None:
    assert new_changefeed_uid() != new_changefeed_uid()


def test_keys_of_a_cluster() -> None:
    keys = Keys("blue")
    assert keys.node("n-1") == "/hedgerow/blue/nodes/n-1"
    assert keys.election == "/hedgerow/blue/election/"
    assert keys.changefeed("f") == "/hedgerow/blue/changefeeds/f/"


def test_election_and_nodes_are_neighbours() -> None:
    """The membership's mirror reads both as one range and must not see changefeeds."""
    keys = Keys("blue")
    assert keys.changefeeds < keys.election < keys.nodes
