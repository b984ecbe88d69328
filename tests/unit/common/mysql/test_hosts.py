"""Which hosts a URI may name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hedgerow.common.errors import BadInput, SourceUnavailable
from hedgerow.common.mysql import hosts
from hedgerow.common.mysql.connect import connect
from hedgerow.common.mysql.uri import ServerUri


@pytest.fixture(autouse=True)
def rule() -> Iterator[None]:
    hosts.restrict(["db1.example.com", "*.db.internal", "10.20.0.0/16", "192.0.2.7", "fd00::/8"])
    yield
    hosts.restrict([])


@pytest.mark.parametrize(
    "host", ["db1.example.com", "DB1.example.com.", "a.db.internal", "a.b.db.internal", "10.20.3.4", "192.0.2.7",
             "fd00::1", "::ffff:10.20.0.1"]
)  # fmt: skip
def test_what_is_listed_is_allowed(host: str) -> None:
    hosts.check(host)


@pytest.mark.parametrize(
    "host", ["db2.example.com", "db1.example.com.evil.org", "evildb1.example.com", "db.internal", "evil-db.internal",
             "10.21.0.1", "127.0.0.1", "localhost", "169.254.169.254", "::1", "::ffff:127.0.0.1", "2130706433",
             "0x7f.1", "10.20.1", "10.20.0.1.nip.io", ""]
)  # fmt: skip
def test_everything_else_is_not(host: str) -> None:
    with pytest.raises(BadInput, match="allowed_hosts"):
        hosts.check(host)


@pytest.mark.parametrize(
    "entry", ["", "*", "*.", "10.0.0.1/8", "10.0.0", "a/b", "http://x", "a:3306", "a b", "300.1.1.1"]
)
def test_an_entry_that_is_none_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="no host name"):
        hosts.read([entry])


def test_without_entries_every_host_is_allowed() -> None:
    hosts.restrict([])
    hosts.check("anything")


def test_no_connection_is_tried_to_another_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.create_connection", lambda *_, **__: pytest.fail("connected"))
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: pytest.fail("resolved"))
    with pytest.raises(SourceUnavailable, match="none of the hosts"):
        connect(ServerUri.parse("mysql://x@169.254.169.254:80/"), "source")
