"""The address leads to another server while the stream's connection to the former one lives on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hedgerow.common.binlog import events as e
from hedgerow.common.errors import SourceUnavailable
from hedgerow.sandbox.accounts import SOURCE_USER
from hedgerow.sandbox.proxy import FaultProxy
from hedgerow.sandbox.servers import ServerPair
from tests.integration.dispatcher.source.reading import Follower, following, resolved, run
from tests.integration.dispatcher.source.test_history import reset
from tests.integration.dispatcher.source.test_reader import insert, prepare


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hedgerow.dispatcher.source.reader._IDLE_SECONDS", 0.2)
    monkeypatch.setattr("hedgerow.dispatcher.source.reader._BUSY_SECONDS", 0.2)


@pytest.fixture
def same_account(server_pair: ServerPair) -> Iterator[None]:
    """The source's account is let in by the other server too."""
    own = server_pair.sink.account(SOURCE_USER).password

    def let_in(secret: str) -> None:
        change = f"ALTER USER '{SOURCE_USER}'@'127.0.0.1' IDENTIFIED BY '{secret}'"
        run(server_pair.sink, "SET sql_log_bin = 0", change)

    let_in(server_pair.source.account(SOURCE_USER).password)
    yield
    let_in(own)


def until_asked_again(
    follower: Follower, monkeypatch: pytest.MonkeyPatch, write: bool, server_pair: ServerPair, times: int = 3
) -> None:
    answers: list[str] = []
    judge = follower.reader._elsewhere.judge

    def noted(*arguments: object) -> str:
        answers.append(judge(*arguments))  # type: ignore[arg-type]
        return answers[-1]

    monkeypatch.setattr(follower.reader._elsewhere, "judge", noted)

    def enough() -> bool:
        if write:
            insert(server_pair.source, 1)
        return len(answers) >= times

    follower.until(enough)


@pytest.mark.usefixtures("same_account")
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_the_stream_ends_where_another_has_more(
    server_pair: ServerPair, monkeypatch: pytest.MonkeyPatch, busy: bool
) -> None:
    """Whether or not the former primary is still written to."""
    source, other = server_pair.source, server_pair.sink
    for server in (source, other):
        prepare(server)
    start = resolved(source, "now")
    proxy = FaultProxy(source.port)
    try:
        with following(source, start, port=proxy.port, heartbeat_seconds=0.1) as follower:
            insert(source, 2)
            follower.until(lambda: len(follower.ends) == 2)
            reset(other)
            proxy.redirect(other.port)
            until_asked_again(follower, monkeypatch, busy, server_pair)  # it has nothing: a reason for nothing
            ahead = ["SET gtid_seq_no = 100000"] if other.flavour == "mariadb" else []
            run(other, *ahead, "INSERT INTO r.a (b) VALUES ('x')")
            with pytest.raises(SourceUnavailable, match=r"leads to server .* not read"):
                until_asked_again(follower, monkeypatch, busy, server_pair, times=100)
    finally:
        proxy.close()


@pytest.mark.usefixtures("same_account")
def test_without_gtids_nothing_can_be_compared(server_pair: ServerPair) -> None:
    if server_pair.flavour != "mysql":
        pytest.skip("MariaDB always has GTIDs")
    source, other = server_pair.source, server_pair.sink
    for server in (source, other):
        run(server, *(f"SET GLOBAL gtid_mode = {mode}" for mode in ("ON_PERMISSIVE", "OFF_PERMISSIVE", "OFF")))
    proxy = FaultProxy(source.port)
    try:
        with following(source, "now", port=proxy.port, heartbeat_seconds=0.1) as follower:
            follower.until(lambda: e.FORMAT_DESCRIPTION in follower.kinds)
            proxy.redirect(other.port)
            with pytest.raises(SourceUnavailable, match=r"leads to server .* without GTIDs"):
                follower.until(lambda: False)
    finally:
        proxy.close()
        for server in (source, other):
            run(server, *(f"SET GLOBAL gtid_mode = {mode}" for mode in ("OFF_PERMISSIVE", "ON_PERMISSIVE", "ON")))
