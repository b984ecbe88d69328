"""What servers write into a statement themselves: in UTF-8, whatever the character set of its session is.

They write some statements again before they log them, and the event does not say so; their own replicas read these
parts in the session's character set, and make tables, views and routines of other names. Measured on MySQL 8.0 and 9.7
and on MariaDB 10.11 and 11.8 (tests/data/binlogs/*-sessions). Pure.
"""

from __future__ import annotations

import re
from typing import Final

from hedgerow.common.mysql.connect import Flavour
from hedgerow.dispatcher.source.charsets import decode, encode

_UTF8: Final = frozenset({"utf8mb3", "utf8mb4", "binary"})
_THREAD_SPECIFIC: Final = 4  # flag of the event: the statement has to do with temporary tables
_NAME: Final = rb"`(?:[^`]|``)*`"
# CREATE TABLE ... SELECT, ... LIKE a temporary table, and with an invisible primary key: as SHOW CREATE TABLE has it.
_TABLE: Final = re.compile(
    rb"CREATE (?:OR REPLACE )?TABLE (?:IF NOT EXISTS )?(?:%b\.)?%b \(\n  " % (_NAME, _NAME), re.DOTALL
)
_GENERATED_KEY: Final = b" (\n  `my_row_id` bigint unsigned NOT NULL AUTO_INCREMENT /*!80023 INVISIBLE */,\n"
_DEFINER: Final = rb"DEFINER=%b@%b" % (_NAME, _NAME)
_VIEW: Final = (
    rb"(?:CREATE (?:OR REPLACE )?|ALTER )ALGORITHM=\w+ %b SQL SECURITY \w+ VIEW (?:IF NOT EXISTS )?(?:%b\.)?%b"
    rb"(?:\(%b(?:, ?%b)*\))?" % (_DEFINER, _NAME, _NAME, _NAME, _NAME)
)
_ROUTINE: Final = rb"CREATE (?:OR REPLACE )?%b (?:AGGREGATE )?(?:PROCEDURE|FUNCTION) (?:IF NOT EXISTS )?(?:%b\.)?%b" % (
    *(_DEFINER, _NAME),
    _NAME,
)
_PROGRAM: Final = rb"CREATE (?:OR REPLACE )?%b(?= (?:TRIGGER|EVENT) )" % _DEFINER
_HEADS: Final[dict[Flavour, re.Pattern[bytes]]] = {
    "mysql": re.compile(b"|".join((_VIEW, _ROUTINE, _PROGRAM)), re.DOTALL),
    "mariadb": re.compile(_PROGRAM, re.DOTALL),
}
_IS_ROUTINE: Final = re.compile(_ROUTINE, re.DOTALL)
_COMMENT: Final = re.compile(
    rb"\)(?: RETURNS [^\n]*)?"
    rb"(?:\n    (?:NO SQL|CONTAINS SQL|READS SQL DATA|MODIFIES SQL DATA|DETERMINISTIC|SQL SECURITY INVOKER))*"
    rb"\n    COMMENT ('(?:[^'\\]|\\.|'')*')\n",
    re.DOTALL,
)


class Unspeakable(Exception):
    """The text as a whole is in no character set."""


def in_one_charset(raw: bytes, charset: str, flavour: Flavour, *, inside: bool, flags: int) -> tuple[bytes, str]:
    """The text as the session would have sent it, and the character set that it is in.

    `inside`: it was logged in a transaction; `flags`: those of the event's header. Raises Unspeakable.
    """
    if charset in _UTF8 or raw.isascii():
        return raw, charset
    if _is_written_table(raw, inside, flags):
        return raw, "utf8mb4"
    head = _HEADS[flavour].match(raw)
    parts = [head.span()] if head else []
    if _IS_ROUTINE.match(raw) and (comment := _COMMENT.search(raw)):
        parts.append(comment.span(1))
    for start, end in reversed(parts):
        raw = raw[:start] + _converted(raw[start:end], charset) + raw[end:]
    return raw, charset


def _is_written_table(text: bytes, inside: bool, flags: int) -> bool:
    if not _TABLE.match(text):
        return False
    return (inside or bool(flags & _THREAD_SPECIFIC) or _GENERATED_KEY in text) and _is_utf8(text)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _converted(part: bytes, charset: str) -> bytes:
    if part.isascii() or not _is_utf8(part):
        return part
    converted = encode(part.decode("utf-8"), charset)
    if converted is None:
        raise Unspeakable(f"{decode(part, 'utf8mb4')!r} cannot be written in {charset}, the session's character set")
    return converted
