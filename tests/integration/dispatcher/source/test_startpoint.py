"""What a user may write as a start, on real servers."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import pytest

from hedgerow.common.binlog.listed import list_events
from hedgerow.common.binlog.position import Position
from hedgerow.common.binlog.startpoint import resolve_start, walk
from hedgerow.common.errors import BadInput
from hedgerow.common.mysql.connect import Flavour, connect
from hedgerow.sandbox.servers import Server, ServerPair
from tests.data.record_binlogs import STATEMENTS
from tests.integration.dispatcher.source.reading import following, resolved, run, uri_of


def test_now_and_earliest(server_pair: ServerPair) -> None:
    source = server_pair.source
    run(source, "CREATE DATABASE s", "FLUSH BINARY LOGS", "CREATE TABLE s.a (id INT)")
    files = run(source, "SHOW BINARY LOGS")
    now, earliest = resolved(source, "now"), resolved(source, "earliest")
    assert (now.file, now.offset) == (files[-1][0], files[-1][1])
    assert (earliest.gtid_set, earliest.file, earliest.offset) == ("", "", 0), "by GTID, though there was none yet"
    assert now.gtid_set
    assert now.source_id == earliest.source_id
    assert resolved(source, f"gtid:{now.gtid_set}").gtid_set == now.gtid_set
    assert resolved(source, f"file:{now.file}:{now.offset}") == now


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("soon", "not one of"),
        ("now:1", "not one of"),
        ("gtid:", "not one of"),
        ("gtid:rubbish", "GTID set"),
        ("file:binlog.000001", "NAME:OFFSET"),
        ("file:binlog.999999:4", "has the binlogs"),
        ("file:binlog.000001:5", "not where an event begins"),
        ("file:binlog.000001:999999999", "has offsets"),
    ],
)
def test_refusals_say_why(server_pair: ServerPair, text: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        resolved(server_pair.source, text)


def test_a_place_inside_a_transaction_is_refused_with_the_nearest(server_pair: ServerPair) -> None:
    source = server_pair.source
    run(source, "CREATE DATABASE s", "CREATE TABLE s.a (id INT)", "FLUSH BINARY LOGS")
    before = resolved(source, "now")
    run(source, "INSERT INTO s.a VALUES (1)")
    events = run(source, f"SHOW BINLOG EVENTS IN '{before.file}' FROM {before.offset}")
    inside = [int(row[1]) for row in events[1:]]
    assert len(inside) >= 3
    for offset in inside:
        with pytest.raises(BadInput, match=f"middle of a transaction.*{before.file}:{before.offset}$"):
            resolved(source, f"file:{before.file}:{offset}")


def test_what_is_suggested_loses_nothing(server_pair: ServerPair) -> None:
    """For every offset: the last place up to there where a stream sees a transaction end, whatever is in the file."""
    source = server_pair.source
    run(source, "CREATE DATABASE before_it", "FLUSH BINARY LOGS")
    start = resolved(source, "now")
    with source.connect(autocommit=True) as connection, connection.cursor() as cursor:
        for statement in STATEMENTS[:-1]:
            cursor.execute(statement)
            if statement == "SET NAMES latin1":
                connection.encoding = "latin1"
    end = resolved(source, "now")
    data = (source.directory / "data" / start.file).read_bytes()
    assert len(data) == end.offset
    places = {4, *(position.offset for position in positions(source, start, end))}
    head = [at for at, kind in shown(source, start.file) if kind in ("Format_desc", "Previous_gtids", "Gtid_list")]
    places |= {at for at in [*head, start.offset] if at <= min(places - {4})}
    with source.connect() as connection:
        events = list(list_events(connection, start.file))
    for offset in range(4, len(data) + 1):
        found = walk(events, offset, len(data), mysql=source.flavour == "mysql")
        wanted = max(place for place in places if place <= offset)
        if found.boundary != wanted:  # what follows a transaction and belongs to none (MariaDB's Binlog_checkpoint)
            between = {kind for at, kind in shown(source, start.file) if wanted <= at < found.boundary}
            assert between <= {"Binlog_checkpoint", "Gtid_list", "Format_desc", "Previous_gtids"}, (offset, found)
        assert found.boundary <= offset
        assert bool(found.problem) == (found.boundary != offset)
    for position in positions(source, start, end):
        assert resolved(source, f"file:{position.file}:{position.offset}") == replace(position, commit_time=0.0)


def positions(source: Server, start: Position, end: Position) -> list[Position]:
    """Where transactions end, as a stream sees it."""
    found: list[Position] = []
    with following(source, start) as follower:
        take = follower.take

        def note(event: bytes) -> None:
            take(event)
            position = follower.tracker.position()
            if position.offset != (found[-1].offset if found else start.offset):
                found.append(position)

        follower.take = note  # type: ignore[method-assign]
        follower.until_position(end)
    return found


def shown(source: Server, file: str) -> list[tuple[int, str]]:
    with source.connect(autocommit=True) as connection, connection.cursor() as cursor:
        connection.encoding = "latin-1"
        cursor.execute(f"SHOW BINLOG EVENTS IN '{file}'")
        return [(int(row[1]), str(row[2])) for row in cursor.fetchall()]


def test_a_file_may_be_begun_at_its_beginning(server_pair: ServerPair) -> None:
    """What was executed before it counts as executed: it is not a start without GTIDs."""
    source = server_pair.source
    run(source, "CREATE DATABASE s", "CREATE TABLE s.a (id INT)", "FLUSH BINARY LOGS")
    now = resolved(source, "now")
    start = resolved(source, f"file:{now.file}:4")
    assert start.gtid_set == now.gtid_set
    run(source, "INSERT INTO s.a VALUES (1)")
    with following(source, start) as follower:
        follower.until(lambda: len(follower.ends) == 1)
    assert follower.reader.by_gtid


def test_transactions_that_are_not_there_are_named(server_pair: ServerPair) -> None:
    source = server_pair.source
    gtid = "3e11fa47-71ca-11e1-9e33-c80aa9429562:7" if source.flavour == "mysql" else "3-9-7"
    with pytest.raises(BadInput, match=gtid):
        resolved(source, f"gtid:{gtid}")


def test_the_other_flavour_is_refused(server_pair: ServerPair) -> None:
    other: Flavour = "mysql" if server_pair.flavour == "mariadb" else "mariadb"
    with pytest.raises(BadInput, match=f"not {other}"):
        resolve_start(uri_of(server_pair.source), other, "now")


def test_pages_of_listed_events_lose_none_of_a_compressed_transaction(server_pair: ServerPair) -> None:
    source = server_pair.source
    run(source, "CREATE DATABASE s", "CREATE TABLE s.a (id INT PRIMARY KEY, t TEXT)", "FLUSH BINARY LOGS")
    file = resolved(source, "now").file
    compress = ["SET SESSION binlog_transaction_compression = ON"] if source.flavour == "mysql" else []
    rows = [f"INSERT INTO s.a VALUES ({number}, REPEAT('x', 500))" for number in range(4)]
    run(source, *compress, "BEGIN", *rows, "COMMIT", "INSERT INTO s.a VALUES (9, '')", "CREATE TABLE s.b (id INT)")
    shown = [(int(row[1]), str(row[2])) for row in run(source, f"SHOW BINLOG EVENTS IN '{file}'")]
    assert ("Transaction_payload" in {kind for _, kind in shown}) == (source.flavour == "mysql")
    with connect(uri_of(source), "source") as connection:
        for page in range(1, len(shown) + 2):
            listed = islice(list_events(connection, file, page=page), 2 * len(shown))
            assert [(event.begin, event.kind) for event in listed] == shown, page
