"""A session that is kept between DDL statements is fresh, or another one."""

from __future__ import annotations

from typing import Any

import pytest

from hedgerow.dispatcher.sink.ddl import kept
from hedgerow.dispatcher.sink.ddl.kept import KeptSession


class Fake:
    def __init__(self) -> None:
        self.open = True

    def close(self) -> None:
        self.open = False


def test_it_is_given_again_only_while_it_is_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    made: list[Any] = []

    def connect() -> Any:
        made.append(Fake())
        return made[-1]

    session = KeptSession()
    first = session.take(connect)
    session.keep(first)
    now += kept.KEEP_SECONDS - 0.1
    assert session.take(connect) is first
    assert session.take(connect) is not first, "whoever has it has it alone"
    session.keep(first)
    now += kept.KEEP_SECONDS + 0.1
    assert session.take(connect) is made[-1] is not first
    assert not first.open
    session.keep(made[-1])
    made[-1].close()
    assert session.take(connect) is made[-1]
    session.keep(made[-1])
    session.close()
    assert not made[-1].open
