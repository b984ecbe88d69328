"""What a user may write as a start, on real servers."""

from __future__ import annotations

import pytest

from common.errors import BadInput
from common.mysql import Flavour
from common.startpoint import resolve_start
from hedgerow.sandbox.servers import ServerPair
from tests.integration.source.reading import resolved, run, uri_of


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


def test_transactions_that_are_not_there_are_named(server_pair: ServerPair) -> None:
    source = server_pair.source
    gtid = "3e11fa47-71ca-11e1-9e33-c80aa9429562:7" if source.flavour == "mysql" else "3-9-7"
    with pytest.raises(BadInput, match=gtid):
        resolved(source, f"gtid:{gtid}")


def test_the_other_flavour_is_refused(server_pair: ServerPair) -> None:
    other: Flavour = "mysql" if server_pair.flavour == "mariadb" else "mariadb"
    with pytest.raises(BadInput, match=f"not {other}"):
        resolve_start(uri_of(server_pair.source), other, "now")
