"""Cuts a MySQL or MariaDB statement into tokens: enough to tell keywords from names, nothing about grammar.

Own code, because general SQL parsers fail on a large part of the DDL that these servers log. The rules are those of the
MySQL manual, "Language Structure" (comments, literals, identifiers), and MariaDB's "Comment Syntax", tried on both
servers: tests/integration/dispatcher/ddl/test_names.py compares names with what the server makes of them.

White space is ASCII, for U+3000 or U+00A0 begin a name; but in seven 8-bit character sets U+00A0 is a space to the
servers (`ISO_8859`). Executable comments (`/*!50100 ... */`, `/*M! ... */`) count as text: what a server did not
execute it logs with the mark taken out. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from hedgerow.common.mysql.connect import Flavour

ANSI_QUOTES: Final = 1 << 2  # bits of sql_mode, as query events carry it; the same on both flavours
MSSQL: Final = 1 << 10  # MariaDB's: names in [brackets] too. It says nothing on MySQL
NO_BACKSLASH_ESCAPES: Final = 1 << 20

# Character sets of clients in which the servers take the byte A0 for a space.
ISO_8859: Final = frozenset({"latin1", "latin2", "latin5", "latin7", "greek", "hebrew", "cp1250"})

Kind = Literal["word", "quoted", "string", "symbol"]


class UnreadableStatement(Exception):
    """A string, name or comment does not end."""


@dataclass(frozen=True, slots=True)
class Token:
    """`value`: a word in upper case, a quoted name without its quotes, a symbol; a string's is empty. What can only be
    a name counts as quoted.

    `start`: where in the statement it begins.
    """

    kind: Kind
    value: str
    text: str
    start: int


_SPACES: Final = " \\t\\n\\v\\f\\r"


def _space(extra: str) -> re.Pattern[str]:
    comments = r"\#[^\n]*|--(?=[\x00-\x20\x7f]|$)[^\n]*|/\*(?!M?!).*?\*/"
    return re.compile(f"[{_SPACES}{extra}]+|{comments}", re.DOTALL)


_SPACE: Final = {False: _space(""), True: _space("\xa0")}
_EXECUTABLE: Final = {"mysql": re.compile(r"/\*!(?:\d{5,6})?"), "mariadb": re.compile(r"/\*M?!(?:\d{5,6})?")}
_UNEXECUTED: Final = re.compile(r"/\*M!.*?\*/", re.DOTALL)  # a plain comment to MySQL
_WORD: Final = {
    False: re.compile(r"[0-9A-Za-z_$\x80-\U0010ffff]+"),
    True: re.compile(r"[0-9A-Za-z_$\x80-\x9f\xa1-\U0010ffff]+"),
}
_DOLLAR: Final = re.compile(r"\$([0-9A-Za-z_\x80-\U0010ffff]*)\$")  # MySQL's quotes for bodies in other languages
_QUOTED: Final = {
    opening: re.compile(f"{re.escape(opening)}((?:[^{end}]|{end}{end})*){end}", re.DOTALL)
    for opening, end in (("`", "`"), ('"', '"'), ("'", "'"), ("[", r"\]"))
}
_STRING: Final = {
    quote: re.compile(f"{quote}((?:[^{quote}\\\\]|\\\\.|{quote}{quote})*){quote}", re.DOTALL) for quote in "\"'"
}


def tokens(statement: str, flavour: Flavour, sql_mode: int = 0, *, nbsp: bool = False) -> Iterator[Token]:
    """The tokens in order. `sql_mode`: the bits under which the statement ran; `nbsp`: its client's character set is
    one of ISO_8859. Raises UnreadableStatement."""
    names = "`" + '"' * bool(sql_mode & ANSI_QUOTES) + "[" * (flavour == "mariadb" and bool(sql_mode & MSSQL))
    strings = _QUOTED if sql_mode & NO_BACKSLASH_ESCAPES else _STRING
    space, word, executable = _SPACE[nbsp], _WORD[nbsp], _EXECUTABLE[flavour]
    at, depth = 0, 0
    dot = -1  # where the last dot ended: a word right after it is a name, whatever it is elsewhere
    while at < len(statement):
        if found := space.match(statement, at):
            at = found.end()
            continue
        char = statement[at]
        if found := executable.match(statement, at):
            at, depth = found.end(), depth + 1
            continue
        if flavour == "mysql" and (found := _UNEXECUTED.match(statement, at)):
            at = found.end()
            continue
        if depth and statement.startswith("*/", at):
            at, depth = at + 2, depth - 1
            continue
        if flavour == "mysql" and char == "$" and (found := _DOLLAR.match(statement, at)):
            end = statement.find(found[0], found.end())
            if end < 0:
                raise UnreadableStatement(f"the text that begins with {found[0]} at character {at + 1} does not end")
            yield Token("string", "", statement[at : end + len(found[0])], at)
            at = end + len(found[0])
            continue
        if found := word.match(statement, at):
            kind: Kind = "quoted" if at == dot else "word"
            yield Token(kind, found[0] if at == dot else found[0].upper(), found[0], at)
        elif char in names:
            found = _ended(_QUOTED[char].match(statement, at), at)
            end_quote = "]" if char == "[" else char
            yield Token("quoted", found[1].replace(end_quote * 2, end_quote), found[0], at)
        elif char in "'\"":
            found = _ended(strings[char].match(statement, at), at)
            yield Token("string", "", found[0], at)
        elif statement.startswith("/*", at):
            raise UnreadableStatement(f"the comment at character {at + 1} does not end")
        else:
            yield Token("symbol", char, char, at)
            at += 1
            dot = at if char == "." else -1
            continue
        at = found.end()
    if depth:
        raise UnreadableStatement("an executable comment does not end")


def _ended(found: re.Match[str] | None, at: int) -> re.Match[str]:
    if found is None:
        raise UnreadableStatement(f"the quote at character {at + 1} does not end")
    return found
