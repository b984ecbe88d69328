"""A transaction is found by the GTID and by each place that a message may name, on every version of the servers."""

from __future__ import annotations

import pytest

from hedgerow.common.binlog.startpoint import resolve_start
from hedgerow.common.errors import BadInput
from hedgerow.coordinator.admin.skipping import Found, find
from hedgerow.sandbox.servers import Server, ServerPair
from tests.integration.dispatcher.source.reading import run, uri_of


def write(source: Server, *statements: str) -> None:
    """One transaction."""
    with source.connect(autocommit=False) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        connection.commit()


def looked_up(source: Server, gtid: str, at: tuple[str, int] = ("", 0)) -> Found:
    start = resolve_start(uri_of(source), source.flavour, f"file:{source_file(source)}:4")
    return find(uri_of(source), start, gtid, at)


def source_file(source: Server) -> str:
    return str(run(source, "SHOW BINARY LOGS")[-1][0])


def begins(source: Server) -> list[tuple[int, str]]:
    events = run(source, f"SHOW BINLOG EVENTS IN '{source_file(source)}'")
    return [(int(row[1]), str(row[2])) for row in events]


@pytest.mark.parametrize("statements", [3, 700], ids=["short", "longer than a page"])
def test_every_place_where_one_of_its_events_ends_names_the_transaction(
    server_pair: ServerPair, statements: int
) -> None:
    source = server_pair.source
    run(source, "CREATE DATABASE s", "CREATE TABLE s.a (id INT PRIMARY KEY, v INT)", "FLUSH BINARY LOGS")
    write(source, "INSERT INTO s.a VALUES (-1, 0)")
    first_of = len(begins(source))
    write(source, *(f"INSERT INTO s.a VALUES ({number}, 0)" for number in range(statements)))
    next_one = len(begins(source))
    write(source, "INSERT INTO s.a VALUES (-2, 0)")
    events = begins(source)
    assert events[first_of][1] == events[next_one][1] == "Gtid"
    ends = [at for at, _ in events[first_of + 1 : next_one + 1]]
    assert len(ends) > 2 * statements
    file = source_file(source)
    wanted = looked_up(source, "", (file, ends[0]))
    assert wanted.offset == ends[0], "where what announces it ends"
    for end in ends if statements < 10 else ends[-1:]:
        assert looked_up(source, "", (file, end)) == wanted, end
    assert looked_up(source, wanted.gtid) == wanted
    assert looked_up(source, "", (file, events[next_one + 1][0])).gtid != wanted.gtid
    with pytest.raises(BadInput, match="has no transaction"):
        looked_up(source, "", (file, ends[-1] - 1))
