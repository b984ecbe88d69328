"""Two filters that can match the same table are found, with a table that both do match."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.common.mysql.filter import TableFilter
from hedgerow.common.mysql.overlap import common_table


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        (["app.*"], ["app.*"], True),
        (["app.*"], ["app.t"], True),
        (["app.t"], ["app.u"], False),
        (["app.*"], ["shop.*"], False),
        (["a*.t"], ["*b.t"], True),
        (["a?.t"], ["?b.t"], True),
        (["a??.t"], ["ab.t"], False),
        (["*.orders"], ["shop.*"], True),
        ([], ["shop.*"], True),
        ([], [], True),
        (["app.*", "!app.t*"], ["app.t*"], False),
        (["app.*", "!app.a*"], ["app.*", "!app.z*"], True),
        (["app.*"], ["*.*", "!app.*"], False),
        (["app.*", "!app.*", "app.keep"], ["*.keep"], True),
        (["`a.b`.t"], ["a?b.t"], True),
        (["App.*"], ["app.*"], False),
        (["*.x*y*z"], ["shop.*xyz*"], True),
    ],
)
def test_overlap(one: list[str], other: list[str], overlap: bool) -> None:
    filters = TableFilter.parse(one), TableFilter.parse(other)
    found = common_table(*filters)
    assert (found is not None) == overlap
    assert found is None or all(each.matches(*found) for each in filters)
    assert (common_table(*reversed(filters)) is not None) == overlap


PART = st.text("ab*?", min_size=1, max_size=6)
RULES = st.lists(st.builds("{}.{}".format, PART, PART), min_size=1, max_size=3)
NAME = st.text("ab", min_size=1, max_size=6)


@given(RULES, RULES, st.lists(st.tuples(NAME, NAME), max_size=20))
def test_without_exclusions_nothing_is_missed(one: list[str], other: list[str], names: list[tuple[str, str]]) -> None:
    filters = TableFilter.parse(one), TableFilter.parse(other)
    found = common_table(*filters)
    if found is None:
        assert not any(all(each.matches(*name) for each in filters) for name in names)
    else:
        assert all(each.matches(*found) for each in filters)
