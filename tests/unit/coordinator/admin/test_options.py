"""What a user asks for is read whole, and nothing is sized by a user's wish alone."""

from __future__ import annotations

import pytest

from hedgerow.common.errors import BadInput
from hedgerow.common.options import DEFAULTS
from hedgerow.common.pb.v1 import admin_pb2 as apb
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.coordinator.admin.options import (
    reaches_other_data,
    read_options,
    read_source_and_sink,
    updated_spec,
)

SPEC = pb.ChangefeedSpec(
    name="shop",
    source="mysql://u@a:3306/",
    sink="mysql://u@b:3306/",
    filter=["shop.*"],
    options=DEFAULTS,
)


def test_what_is_not_set_keeps_its_default() -> None:
    options = read_options(pb.ChangefeedOptions(lanes=8), DEFAULTS)
    assert (options.lanes, options.batch_transactions) == (8, DEFAULTS.batch_transactions)


def test_every_option_out_of_bounds_is_named() -> None:
    with pytest.raises(BadInput, match=r"lanes is 65.*; batch_bytes is 1,"):
        read_options(pb.ChangefeedOptions(lanes=65, batch_bytes=1), DEFAULTS)


def test_a_server_is_not_replicated_to_itself() -> None:
    with pytest.raises(BadInput, match="same server"):
        read_source_and_sink("mysql://u@a:3306/", "mysql://other@a/")


def test_an_update_changes_what_it_names_and_nothing_else() -> None:
    changed = updated_spec(SPEC, apb.UpdateChangefeedRequest(options=pb.ChangefeedOptions(lanes=2)))
    assert changed.options.lanes == 2
    assert not reaches_other_data(SPEC, changed)
    changed = updated_spec(SPEC, apb.UpdateChangefeedRequest(sink="mysql://u@c/"))
    assert (changed.sink, changed.source, list(changed.filter)) == ("mysql://u@c:3306/", SPEC.source, ["shop.*"])
    assert reaches_other_data(SPEC, changed)
    assert not changed.former_filters
    emptied = updated_spec(SPEC, apb.UpdateChangefeedRequest(filter=apb.FilterRules()))
    assert list(emptied.filter) == []
    assert [list(former.rules) for former in emptied.former_filters] == [["shop.*"]]
    again = updated_spec(emptied, apb.UpdateChangefeedRequest(filter=apb.FilterRules(rules=["shop.*"])))
    assert [list(former.rules) for former in again.former_filters] == [["shop.*"], []]
    assert updated_spec(again, apb.UpdateChangefeedRequest(filter=apb.FilterRules(rules=["shop.*"]))) == again
    last = updated_spec(again, apb.UpdateChangefeedRequest(filter=apb.FilterRules()))
    assert len(last.former_filters) == 2, "each one once"
    with pytest.raises(BadInput):
        updated_spec(SPEC, apb.UpdateChangefeedRequest(filter=apb.FilterRules(rules=["nonsense"])))
