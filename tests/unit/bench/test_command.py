"""A contender's command line: what it is given, and what is refused."""

from __future__ import annotations

import shlex

import pytest

from bench.command import PLACEHOLDERS, BadCommand, CommandLine, fill_in, parse_contender


def test_a_contender_is_a_name_and_a_command() -> None:
    assert parse_contender("mine=copy {source_uri} --to={sink_uri}") == CommandLine(
        "mine", "copy {source_uri} --to={sink_uri}"
    )
    assert parse_contender(" a b =x=y").name == "a b"


@pytest.mark.parametrize("text", ["", "mine", "mine=", "=copy", "mine= "])
def test_a_name_or_a_command_alone_is_refused(text: str) -> None:
    with pytest.raises(BadCommand, match="NAME=COMMAND"):
        parse_contender(text)


def test_an_unknown_placeholder_is_refused_and_the_known_ones_are_told() -> None:
    with pytest.raises(BadCommand, match=r"mine: there is no \{gtid\}; there are .*\{position\}"):
        parse_contender("mine=copy {source_uri} {gtid}")


def test_values_reach_the_command_as_single_words() -> None:
    values = dict.fromkeys(PLACEHOLDERS, "") | {
        "source_uri": "mysql://r@h:1/?password_file=/a b&x=$HOME",
        "file": "b.1",
    }
    filled = fill_in("copy {source_uri} --file={file}", values)
    assert shlex.split(filled) == ["copy", values["source_uri"], "--file=b.1"]


def test_the_shells_own_braces_stay() -> None:
    command = "copy ${SOURCE_PASSWORD} {file} | awk '{ print $1 }'"
    assert parse_contender(f"mine={command}").command == command
    assert fill_in(command, {"file": "b.1"}) == "copy ${SOURCE_PASSWORD} b.1 | awk '{ print $1 }'"
