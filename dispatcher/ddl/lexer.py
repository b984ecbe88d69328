"""Cuts a MySQL or MariaDB statement into tokens: enough to tell keywords from names, nothing about grammar.

Own code, because general SQL parsers fail on a large part of the DDL that these servers log. The rules are those of the
MySQL manual, "Language Structure" (comments, literals, identifiers), and MariaDB's "Comment Syntax". Executable
comments (`/*!50100 ... */`, `/*M! ... */`) count as text where the flavour would execute them. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

ANSI_QUOTES: Final = 1 << 2  # bits of sql_mode, as query events carry it; the same on both flavours
NO_BACKSLASH_ESCAPES: Final = 1 << 20


class Unreadable(Exception):
    """A string, name or comment does not end."""


@dataclass(frozen=True, slots=True)
class Token:
    """`value`: a word in upper case, a quoted name without its quotes, a symbol; a string's is empty.

    `start`: where in the statement it begins.
    """

    kind: Literal["word", "quoted", "string", "symbol"]
    value: str
    text: str
    start: int


_SPACE = re.compile(r"\s+|\#[^\n]*|--(?=[\s\x00-\x1f]|$)[^\n]*|/\*(?!M?!).*?\*/", re.DOTALL)
_EXECUTABLE = re.compile(r"/\*(M?)!(\d{5,6})?")
_WORD = re.compile(r"[0-9A-Za-z_$\x80-\U0010ffff]+")
_QUOTED = {quote: re.compile(f"{quote}((?:[^{quote}]|{quote}{quote})*){quote}", re.DOTALL) for quote in "`\"'"}
_STRING = {quote: re.compile(f"{quote}((?:[^{quote}\\\\]|\\\\.|{quote}{quote})*){quote}", re.DOTALL) for quote in "\"'"}


def tokens(statement: str, flavour: str, sql_mode: int = 0) -> Iterator[Token]:
    """The tokens in order. `sql_mode`: the bits under which the statement ran. Raises Unreadable."""
    names = '`"' if sql_mode & ANSI_QUOTES else "`"
    strings = _QUOTED if sql_mode & NO_BACKSLASH_ESCAPES else _STRING
    at, depth = 0, 0
    while at < len(statement):
        if found := _SPACE.match(statement, at):
            at = found.end()
            continue
        char = statement[at]
        if found := _EXECUTABLE.match(statement, at):
            if _executes(flavour, found[1], int(found[2] or 0)):
                at, depth = found.end(), depth + 1
            else:
                at = _skip_comment(statement, found.end())
            continue
        if depth and statement.startswith("*/", at):
            at, depth = at + 2, depth - 1
            continue
        if found := _WORD.match(statement, at):
            yield Token("word", found[0].upper(), found[0], at)
        elif char in names:
            found = _ended(_QUOTED[char].match(statement, at), at)
            yield Token("quoted", found[1].replace(char * 2, char), found[0], at)
        elif char in "'\"":
            found = _ended(strings[char].match(statement, at), at)
            yield Token("string", "", found[0], at)
        elif statement.startswith("/*", at):
            raise Unreadable(f"the comment at character {at + 1} does not end")
        else:
            yield Token("symbol", char, char, at)
            at += 1
            continue
        at = found.end()
    if depth:
        raise Unreadable("an executable comment does not end")


def _executes(flavour: str, only_mariadb: str, version: int) -> bool:
    """Whether a server of this flavour executes the comment. MariaDB leaves out those of MySQL 5.7 to 9."""
    if flavour == "mariadb":
        return bool(only_mariadb) or not 50700 <= version <= 99999
    return not only_mariadb and version <= 99999


def _skip_comment(statement: str, at: int) -> int:
    """The end of a comment that is not executed; comments inside of it are allowed, one level deep."""
    while True:
        end = statement.find("*/", at)
        if end < 0:
            raise Unreadable("a comment does not end")
        inner = statement.find("/*", at)
        if not 0 <= inner < end:
            return end + 2
        at = end + 2


def _ended(found: re.Match[str] | None, at: int) -> re.Match[str]:
    if found is None:
        raise Unreadable(f"the quote at character {at + 1} does not end")
    return found
