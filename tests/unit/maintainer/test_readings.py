"""Which reading of the sink has the latest list of dispatchers."""

from __future__ import annotations

from hedgerow.maintainer.readings import Readings, list_version
from tests.unit.maintainer.builders import status


def test_the_list_has_another_version_when_the_schema_dispatcher_has_executed_or_claimed() -> None:
    before = status("*", offset=9, executed=5)
    assert list_version(before) == list_version(status("*", offset=12, executed=5))
    assert list_version(before) != list_version(status("*", offset=10, executed=10))
    assert list_version(before) != list_version(status("*", offset=9, executed=5, generation=2))
    assert list_version(status("*", offset=9)) != list_version(status("*", offset=10)), "of an earlier version"


def test_a_reading_that_began_before_the_schema_dispatcher_had_executed_is_not_the_latest() -> None:
    readings = Readings()
    readings.begin([status("*", offset=9, executed=5)])
    readings.take()
    assert readings.is_latest([status("*", offset=12, executed=5)])
    readings.begin([status("*", offset=12, executed=5)])
    readings.take()
    assert not readings.is_latest([status("*", offset=20, executed=20)]), "it was executed while the sink was read"


def test_what_is_asked_for_while_the_sink_is_read_is_not_in_that_reading() -> None:
    readings = Readings()
    readings.begin([])
    readings.ask()
    readings.take()
    assert not readings.is_latest([])
    readings.begin([])
    assert not readings.is_latest([]), "it has not come yet"
    readings.take()
    assert readings.is_latest([])


def test_an_incarnation_that_has_not_claimed_yet_has_executed_nothing() -> None:
    readings = Readings()
    readings.begin([])
    readings.take()
    assert readings.is_latest([status("*")])
