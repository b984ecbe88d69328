"""Streams that begin at a file and offset though there are GTIDs: on real servers, also where the binlog is another;
and sources that have another history under the same numbers."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from hedgerow.common.binlog import events as e
from hedgerow.common.binlog.mark import Mark
from hedgerow.common.binlog.position import Position
from hedgerow.common.errors import BinlogPurged, BinlogReset, SourceUnavailable
from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.process import wait_until
from hedgerow.sandbox.servers import Server, ServerPair
from tests.conftest import StartPair
from tests.errors.test_source import Successor
from tests.integration.dispatcher.source.reading import SECONDS, following, resolved, run
from tests.integration.dispatcher.source.test_reader import executed, insert, prepare

LOOKED_FOR = {"mysql": e.PREVIOUS_GTIDS, "mariadb": e.GTID_LIST}  # is sent where a file is read from its beginning


def reached(server: Server, count: int) -> Position:
    """Where a stream is that has read so many transactions from now on."""
    start = resolved(server, "now")
    insert(server, count)
    with following(server, start) as follower:
        follower.until(lambda: len(follower.ends) == count)
    return follower.ends[-1]


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


RESET = {"mysql": "RESET BINARY LOGS AND GTIDS", "mariadb": "RESET MASTER"}


def reset(source: Server, purged: str = "") -> None:
    kept = {"mysql": "gtid_purged", "mariadb": "gtid_binlog_state"}[source.flavour]
    run(source, RESET[source.flavour], *([f"SET GLOBAL {kept} = '{purged}'"] if purged else []))


def test_a_binlog_that_was_reset_and_grew_anew_loses_nothing(flavour: Flavour, start_pair: StartPair) -> None:
    """It has the applied GTIDs as purged ones, and others before the offset, where a transaction begins by chance."""
    source = start_pair(flavour).source
    prepare(source)
    applied = reached(source, 3)
    reset(source, applied.gtid_set)
    by_chance = reached(source, 2)
    insert(source, 2)
    mark = Mark.read(applied.mark, applied.file, applied.offset)
    assert mark is not None
    deceptive = replace(by_chance, gtid_set=applied.gtid_set, mark=mark.write(by_chance.file, by_chance.offset))
    with capture_logs() as logs, following(source, deceptive) as follower:
        follower.until(lambda: len(follower.ends) == 4)
    assert follower.ends[-1].gtid_set == executed(source)
    assert [log["event"] for log in logs] == ["source-history-by-numbers"]


@pytest.mark.parametrize("again", [1, 3, 20])
@pytest.mark.parametrize("gtids", [True, False])
def test_a_reset_source_that_counts_anew_is_refused(
    flavour: Flavour, start_pair: StartPair, again: int, gtids: bool
) -> None:
    """Whether it has fewer transactions than were applied, as many, or more; at once, in the same second."""
    source = start_pair(flavour).source
    prepare(source)
    applied = reached(source, 3)
    reset(source)
    insert(source, 2 + again)
    for start in (applied, replace(applied, commit_time=0.0)):
        with pytest.raises(BinlogReset), following(source, start if gtids else replace(start, gtid_set="")):
            pass


def test_a_position_without_a_transaction_is_known_by_its_file(flavour: Flavour, start_pair: StartPair) -> None:
    """A changefeed that was created a moment ago, and has seen nothing yet."""
    source = start_pair(flavour).source
    prepare(source)
    insert(source, 3)
    time.sleep(1.1)  # the file that is made next is of another second
    with following(source, "now") as follower:
        follower.until(lambda: e.FORMAT_DESCRIPTION in follower.kinds)
        start = follower.tracker.position()
    assert start.mark
    with following(source, start):
        pass
    reset(source)
    insert(source, 20)
    with pytest.raises(BinlogReset), following(source, start):
        pass


@pytest.mark.parametrize("gtids", [True, False])
def test_a_crash_that_shortens_the_binlog_is_refused(flavour: Flavour, start_pair: StartPair, gtids: bool) -> None:
    """The file loses its end, and the server gives the last GTIDs to others. MySQL keeps those in the engine that were
    followed by another, and says that it has purged them."""
    source = start_pair(flavour).source
    prepare(source)
    early = reached(source, 3)
    insert(source, 3)
    with following(source, early) as follower:
        follower.until(lambda: len(follower.ends) == 3)
    kept, applied = follower.ends[-2:]
    source.kill()
    with (source.directory / "data" / early.file).open("r+b") as file:
        file.truncate(early.offset)
    source.start()
    insert(source, 10)
    for start in (applied, kept):
        if flavour == "mysql" and gtids and start is kept:
            with following(source, start) as rest:
                rest.until(lambda: len(rest.ends) == 10)
        else:
            with pytest.raises(BinlogReset), following(source, start if gtids else replace(start, gtid_set="")):
                pass


def test_a_server_that_was_restored_is_refused(flavour: Flavour, start_pair: StartPair, tmp_path: Path) -> None:
    """With its binlogs, to an earlier state, and written to again; what was reached before that state goes on."""
    source = start_pair(flavour).source
    prepare(source)
    early = reached(source, 2)
    source.stop()
    shutil.copytree(source.directory / "data", tmp_path / "data")
    source.start()
    applied = reached(source, 3)
    source.stop()
    shutil.rmtree(source.directory / "data")
    shutil.copytree(tmp_path / "data", source.directory / "data")
    source.start()
    insert(source, 10)
    for gtids in (True, False):
        with pytest.raises(BinlogReset), following(source, applied if gtids else replace(applied, gtid_set="")):
            pass
        with following(source, early if gtids else replace(early, gtid_set="")) as follower:
            follower.until(lambda follower=follower: len(follower.ends) == 10)  # type: ignore[misc]


def test_a_transaction_that_took_long_is_known_on_a_replica_and_back(flavour: Flavour) -> None:
    """MariaDB's replicas say that it was committed when its last statement ran."""
    with Server(flavour, "primary", {"report_host": "127.0.0.1"}) as primary:
        successor = Successor(primary)
        try:
            successor.start()
            for server in (primary, successor.server):
                run(server, "SET sql_log_bin = 0", "CREATE DATABASE r", "CREATE TABLE r.a (id INT PRIMARY KEY)")
            successor.follow()
            start = resolved(primary, "now")
            long = [
                "INSERT INTO r.a VALUES (1)",
                "SELECT SLEEP(1.2)",
                "INSERT INTO r.a VALUES (2)",
                "SELECT SLEEP(1.2)",
            ]
            run(primary, "BEGIN", *long, "COMMIT")
            successor.catch_up()
            seen = []
            for server in (primary, successor.server):
                with following(server, replace(start, file="", offset=0, source_id="")) as follower:
                    follower.until(lambda follower=follower: len(follower.ends) == 1)  # type: ignore[misc]
                seen.append(follower.ends[-1])
            for server, position in ((successor.server, seen[0]), (primary, seen[1])):
                assert position.source_id != resolved(server, "now").source_id
                with capture_logs() as logs, following(server, position):
                    pass
                assert not logs
        finally:
            successor.server.close()


def test_a_restart_goes_on_where_it_was(flavour: Flavour, start_pair: StartPair) -> None:
    source = start_pair(flavour).source
    prepare(source)
    for crash in (False, True):
        applied = reached(source, 2)
        if crash:
            source.kill()
            source.start()
        else:
            source.restart()
        insert(source, 2)
        with capture_logs() as logs, following(source, applied) as follower:
            follower.until(lambda follower=follower: len(follower.ends) == 2)  # type: ignore[misc]
        assert not logs


def test_a_running_stream_notices_a_reset(
    flavour: Flavour, start_pair: StartPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hedgerow.dispatcher.source.reader._IDLE_SECONDS", 0.2)
    source = start_pair(flavour).source
    prepare(source)
    start = resolved(source, "now")
    insert(source, 3)
    with following(source, start, heartbeat_seconds=0.1) as follower:
        follower.until(lambda: len(follower.ends) == 3)
        at = follower.tracker.position()
        run(source, RESET[flavour], *["INSERT INTO r.a (b) VALUES (REPEAT('x', 500))"] * 60)
        with pytest.raises((BinlogReset, SourceUnavailable)):
            follower.until(lambda: False)
    assert follower.tracker.position() == at, "nothing of the new history"
    with pytest.raises(BinlogReset), following(source, at):
        pass


def test_an_idle_position_moves_on_with_the_files(flavour: Flavour, start_pair: StartPair) -> None:
    """So that nothing is missing when the source purges the file that it was in; also without GTIDs."""
    off = {"gtid_mode": "OFF", "enforce_gtid_consistency": "OFF"} if flavour == "mysql" else {}
    source = start_pair(flavour, off).source
    prepare(source)
    start = resolved(source, "now")
    insert(source, 2)
    with following(source, start) as follower:
        follower.until(lambda: len(follower.ends) == 2)
        run(source, "FLUSH BINARY LOGS", "FLUSH BINARY LOGS")
        last = resolved(source, "now").file
        follower.until(lambda: follower.tracker.file == last)
        position = follower.tracker.position()
    assert position.offset == 4
    assert position.gtid_set == follower.ends[-1].gtid_set

    def purged() -> bool:
        run(source, f"PURGE BINARY LOGS TO '{position.file}'")
        return bool(run(source, "SHOW BINARY LOGS")[0][0] == position.file)

    assert wait_until(purged, SECONDS)
    with pytest.raises(BinlogPurged), following(source, replace(follower.ends[-1], gtid_set="")):
        pass
    insert(source, 2)
    with capture_logs() as logs, following(source, position) as rest:
        rest.until(lambda: len(rest.ends) == 2)
    assert not logs


def test_an_offset_that_is_none_loses_nothing(server_pair: ServerPair) -> None:
    """In a transaction, where no event begins, behind the end, in a file that is not there: what marks another place
    proves nothing, and the stream begins by GTID."""
    source = server_pair.source
    prepare(source)
    position = reached(source, 3)
    end = reached(source, 2)
    events = [(int(row[1]), str(row[2])) for row in run(source, f"SHOW BINLOG EVENTS IN '{position.file}'")]
    inside = next(offset for offset, kind in events if kind == "Table_map" and offset > position.offset)
    places = [inside, position.offset + 3, end.offset + 1_000_000]
    deceptive = [replace(position, offset=offset) for offset in places] + [replace(position, file="binlog.000099")]
    for start in deceptive:
        with following(source, start) as follower:
            follower.until(lambda follower=follower: len(follower.ends) == 2)  # type: ignore[misc]
        assert follower.ends[-1].gtid_set == end.gtid_set
        assert LOOKED_FOR[source.flavour] in follower.kinds
