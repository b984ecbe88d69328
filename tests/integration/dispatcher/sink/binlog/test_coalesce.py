"""Coalesced events leave the sink as the source is: tables interleaved, session flags, table ids that change."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hedgerow.sandbox.servers import ServerPair
from tests.integration.dispatcher.sink.harness import SCHEMA, Feed, apply, run

TABLES = {
    "keyed": "(id INT PRIMARY KEY, v INT, KEY (v))",
    "keyless": "(id INT, v INT)",
    "uniq": "(id INT PRIMARY KEY, v INT, UNIQUE (v))",
}
NUMBER = st.integers(0, 9)


def statement(template: str) -> st.SearchStrategy[str]:
    return st.builds(
        lambda table, a, b: template.format(t=f"{SCHEMA}.{table}", a=a, b=b),
        st.sampled_from(list(TABLES)),
        NUMBER,
        NUMBER,
    )


STATEMENTS = st.one_of(
    statement("INSERT IGNORE INTO {t} VALUES ({a}, {b})"),
    statement("REPLACE INTO {t} VALUES ({a}, {b}), ({b}, {a})"),
    statement("UPDATE IGNORE {t} SET v = {b} WHERE id = {a}"),
    statement("UPDATE IGNORE {t} SET v = v + 100"),
    statement("DELETE FROM {t} WHERE id = {a}"),
    statement("FLUSH TABLES {t}"),  # a new table id
    st.sampled_from(
        [f"SET {name} = {value}" for name in ("foreign_key_checks", "unique_checks") for value in (0, 1)]
        + [f"DELETE {SCHEMA}.keyed, {SCHEMA}.uniq FROM {SCHEMA}.keyed JOIN {SCHEMA}.uniq USING (id)", "BEGIN", "COMMIT"]
    ),
)


@pytest.fixture
def feed(server_pair: ServerPair) -> Feed:
    return Feed(server_pair, TABLES)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(statements=st.lists(STATEMENTS, min_size=5, max_size=60), group=st.sampled_from([1, 7, 1000]))
def test_the_sink_becomes_equal(feed: Feed, statements: list[str], group: int) -> None:
    run(feed.pair.source.connect(), *statements, "COMMIT")
    description, transactions = feed.read()
    with feed.lane() as lane:
        positions = lane.claim(dict.fromkeys(feed.keys, 1))
        apply(lane, description, transactions, positions, group)
    assert feed.equal()
