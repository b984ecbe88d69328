"""The servers read every character as Hedgerow does, or Hedgerow says that it does not know it."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from pymysql.cursors import Cursor

from hedgerow.dispatcher.source.charsets import UNKNOWN, charset_of, decode
from hedgerow.sandbox.servers import ServerPair

NOT_OF_SESSIONS = {"ucs2", "utf16", "utf16le", "utf32"}
# To a backslash, which would be taken for syntax: a name with them is refused.
BACKSLASHES = {("sjis", b"\x81\x5f"), ("ujis", b"\xa1\xc0")}
# User-defined characters, which Python's codec does not have.
NOT_ALL_KNOWN = {"ujis": 1900, "eucjpms": 2100, "big5": 20}


def read_by(cursor: Cursor, charset: str, codes: list[bytes]) -> dict[bytes, str]:
    """What the server makes of each; without those that are no character to it."""
    found = {}
    for at in range(0, len(codes), 500):
        some = codes[at : at + 500]
        columns = (f"HEX(CONVERT(CONVERT(0x{code.hex()} USING {charset}) USING utf16))" for code in some)
        cursor.execute(f"SELECT {', '.join(columns)}")
        row: Any = cursor.fetchone()
        for code, value in zip(some, row, strict=True):
            text = bytes.fromhex(value).decode("utf-16-be", "replace") if value else "?"
            if len(text) == 1 and text != "?":
                found[code] = text
    return found


def test_every_collation_has_its_character_set(server_pair: ServerPair) -> None:
    with server_pair.source.connect() as connection, connection.cursor() as cursor:
        table = "collations"
        if server_pair.flavour == "mariadb":
            table = "collation_character_set_applicability"
        cursor.execute(f"SELECT id, character_set_name FROM information_schema.{table} WHERE id IS NOT NULL")
        found = dict(cursor.fetchall())
    assert len(found) > 250
    wrong = {number: name for number, name in found.items() if charset_of(number) != name}
    assert set(wrong.values()) <= NOT_OF_SESSIONS


@pytest.mark.timeout(180)
def test_every_character_is_read_alike(server_pair: ServerPair) -> None:
    with server_pair.source.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION sql_mode = ''")
        cursor.execute("SELECT character_set_name, maxlen FROM information_schema.character_sets")
        charsets = [(name, width) for name, width in cursor.fetchall() if name not in NOT_OF_SESSIONS]
        assert len(charsets) >= 36
        for name, width in charsets:
            if name in ("binary", "gb18030") or name.startswith("utf8"):
                continue
            codes = [bytes((high,)) for high in range(0x80, 0x100)]
            if width > 1:
                codes += [bytes(pair) for pair in product(range(0x81, 0xFF), (*range(0x40, 0x7F), *range(0x80, 0xFF)))]
            unknown = 0
            for code, text in read_by(cursor, name, codes).items():
                read = decode(code, name)
                if read == UNKNOWN:
                    unknown += text != UNKNOWN and not text.isascii()
                elif text.isascii():
                    assert (name, code) in BACKSLASHES, (name, code, text, read)
                else:
                    assert read[0] == text, (name, code)
            assert unknown <= NOT_ALL_KNOWN.get(name, 1), name
