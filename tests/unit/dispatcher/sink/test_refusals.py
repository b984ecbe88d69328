"""Which errors of a sink are tried again, and which stop the changefeed."""

from __future__ import annotations

import pymysql
import pytest

from hedgerow.common.errors import HedgerowError, SinkRefused, SinkUnavailable
from hedgerow.common.mysql.names import TableName
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.dispatcher.sink.refusals import refusal

URI = ServerUri.parse("mysql://u@h/")


def refused(number: int, text: str = "as the server says it") -> HedgerowError:
    return refusal(URI, "mysql", pymysql.OperationalError(number, text), [TableName("d", "t")])


@pytest.mark.parametrize("number", [1037, 1041, 1047, 1180, 1412, 1461, 1637, 3100, 3101])
def test_a_state_that_passes_is_tried_again(number: int) -> None:
    error = refused(number)
    assert isinstance(error, SinkUnavailable)
    assert f"{number}: as the server says it" in str(error)
    assert "by itself" in str(error)


@pytest.mark.parametrize("number", [1021, 1114])
def test_room_is_waited_for(number: int) -> None:
    error = refused(number)
    assert isinstance(error, SinkUnavailable)
    assert "no room" in str(error)


@pytest.mark.parametrize("number", [1034, 1035, 1194, 1195, 1712])
def test_a_damaged_table_stops_the_changefeed(number: int) -> None:
    error = refused(number)
    assert isinstance(error, SinkRefused)
    assert "damaged in the sink (d.t)" in str(error)
    assert "no room" not in str(error)


@pytest.mark.parametrize("number", [1969, 3024])
def test_a_statement_that_took_too_long_is_not_tried_for_ever(number: int) -> None:
    """It would take as long again, at full cost each time."""
    error = refused(number)
    assert isinstance(error, SinkRefused)
    assert "take it away" in str(error)
