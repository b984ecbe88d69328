"""Streams that begin at a file and offset though there are GTIDs: on real servers, also where the binlog is another."""

from __future__ import annotations

import time
from dataclasses import replace

from structlog.testing import capture_logs

from common.mysql import Flavour
from common.position import Position
from dispatcher.source import events as e
from hedgerow.sandbox.servers import Server, ServerPair
from tests.conftest import StartPair
from tests.integration.source.reading import following, resolved, run
from tests.integration.source.test_reader import executed, insert, prepare

LOOKED_FOR = {"mysql": e.PREVIOUS_GTIDS, "mariadb": e.GTID_LIST}  # is sent where a file is read from its beginning


def reached(server: Server, count: int) -> Position:
    """Where a stream is that has read so many transactions from now on, as if the file had been made long before."""
    start = resolved(server, "now")
    insert(server, count)
    with following(server, start) as follower:
        follower.until(lambda: len(follower.ends) == count)
    return replace(follower.ends[-1], commit_time=time.time() + 3600)


def test_it_begins_where_the_position_is(server_pair: ServerPair) -> None:
    source = server_pair.source
    prepare(source)
    position = reached(source, 3)
    insert(source, 2)
    with following(source, position) as at_place, following(source, replace(position, commit_time=0.0)) as by_gtid:
        for follower in (at_place, by_gtid):
            follower.until(lambda follower=follower: len(follower.ends) == 2)  # type: ignore[misc]
    assert [end.gtid_set for end in at_place.ends] == [end.gtid_set for end in by_gtid.ends]
    assert at_place.ends[-1].gtid_set == executed(source)
    assert at_place.ends[-1].offset == by_gtid.ends[-1].offset
    assert LOOKED_FOR[source.flavour] in by_gtid.kinds
    assert LOOKED_FOR[source.flavour] not in at_place.kinds


def test_it_waits_at_the_end_and_goes_on_in_the_next_file(server_pair: ServerPair) -> None:
    source = server_pair.source
    prepare(source)
    position = reached(source, 3)
    with capture_logs() as logs, following(source, position) as follower:
        follower.until(lambda: bool(follower.kinds.keys() & {e.HEARTBEAT, e.HEARTBEAT_V2}))
        run(source, "FLUSH BINARY LOGS")
        insert(source, 2)
        follower.until(lambda: len(follower.ends) == 2)
    assert follower.ends[-1].file > position.file
    assert not logs


def test_a_binlog_that_was_reset_and_grew_anew_loses_nothing(flavour: Flavour, start_pair: StartPair) -> None:
    """It has the applied GTIDs as purged ones, and others before the offset, where a transaction begins by chance."""
    source = start_pair(flavour).source
    prepare(source)
    applied = reached(source, 3)
    if flavour == "mysql":
        run(source, "RESET BINARY LOGS AND GTIDS", f"SET GLOBAL gtid_purged = '{applied.gtid_set}'")
    else:
        run(source, "RESET MASTER", f"SET GLOBAL gtid_binlog_state = '{applied.gtid_set}'")
    by_chance = reached(source, 2)
    insert(source, 2)
    deceptive = replace(applied, file=by_chance.file, offset=by_chance.offset, commit_time=by_chance.commit_time)
    with capture_logs() as logs, following(source, deceptive) as follower:
        follower.until(lambda: len(follower.ends) == 4)
    assert follower.ends[-1].gtid_set == executed(source)
    assert [log["event"] for log in logs] == ["source-place-doubted"]
    assert "does not follow" in logs[0]["doubt"]


def test_an_offset_that_is_none_loses_nothing(server_pair: ServerPair) -> None:
    """In a transaction, where no event begins, behind the end, in a file that is not there."""
    source = server_pair.source
    prepare(source)
    position = reached(source, 3)
    end = reached(source, 2)
    events = [(int(row[1]), str(row[2])) for row in run(source, f"SHOW BINLOG EVENTS IN '{position.file}'")]
    inside = next(offset for offset, kind in events if kind == "Table_map" and offset > position.offset)
    places = [inside, position.offset + 3, end.offset + 1_000_000]
    deceptive = [replace(position, offset=offset) for offset in places] + [replace(position, file="binlog.000099")]
    for start in deceptive:
        with capture_logs() as logs, following(source, start) as follower:
            follower.until(lambda follower=follower: len(follower.ends) == 2)  # type: ignore[misc]
        assert follower.ends[-1].gtid_set == end.gtid_set
        assert [log["event"] for log in logs] == ["source-place-doubted"], start
