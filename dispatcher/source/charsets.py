# ruff: noqa: RUF001 (some of its strings are alphabets)
"""The servers' character sets: the text of a statement as the session that ran it meant it.

Decoding never fails, and what is ASCII to the server's parser is ASCII afterwards and nothing else is: quotes and
backslashes that are the second byte of a character are not taken for their own. A character that has no counterpart
becomes U+FFFD; a name that has one in it is not known. Python's codecs are not quite the servers' tables; the
differences are here, as MySQL and MariaDB themselves tell them (they agree, and a test asks them).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Final

UNKNOWN: Final = "\ufffd"

# The character set of a session's collation, by its number. A session's own cannot be ucs2, utf16 or utf32.
_COLLATIONS: Final[Mapping[str, tuple[int, ...]]] = {
    "armscii8": (32, 64),
    "ascii": (11, 65),
    "big5": (1, 84),
    "binary": (63,),
    "cp1250": (26, 34, 44, 66, 99),
    "cp1251": (14, 23, 50, 51, 52),
    "cp1256": (57, 67),
    "cp1257": (29, 58, 59),
    "cp850": (4, 80),
    "cp852": (40, 81),
    "cp866": (36, 68),
    "cp932": (95, 96),
    "dec8": (3, 69),
    "eucjpms": (97, 98),
    "euckr": (19, 85),
    "gb18030": (248, 249, 250),
    "gb2312": (24, 86),
    "gbk": (28, 87),
    "geostd8": (92, 93),
    "greek": (25, 70),
    "hebrew": (16, 71),
    "hp8": (6, 72),
    "keybcs2": (37, 73),
    "koi8r": (7, 74),
    "koi8u": (22, 75),
    "latin1": (5, 8, 15, 31, 47, 48, 49, 94),
    "latin2": (2, 9, 21, 27, 77),
    "latin5": (30, 78),
    "latin7": (20, 41, 42, 79),
    "macce": (38, 43),
    "macroman": (39, 53),
    "sjis": (13, 88),
    "swe7": (10, 82),
    "tis620": (18, 89),
    "ujis": (12, 91),
    "utf8mb3": (33, 76, 83, *range(192, 224), *range(576, 608), *range(2048, 2304)),
    "utf8mb4": (45, 46, *range(224, 248), *range(255, 400), *range(608, 640), *range(2304, 2560)),
}
_BY_COLLATION: Final = {number: name for name, numbers in _COLLATIONS.items() for number in numbers}
_NOPAD: Final = 1024  # added by MariaDB for a collation without padding

_CODECS: Final = {
    "ascii": "ascii",
    "binary": "utf-8",
    "utf8mb3": "utf-8",
    "utf8mb4": "utf-8",
    "gb18030": "gb18030",
    "cp1250": "cp1250",
    "cp1251": "cp1251",
    "cp1256": "cp1256",
    "cp1257": "cp1257",
    "cp850": "cp850",
    "cp852": "cp852",
    "cp866": "cp866",
    "greek": "iso8859_7",
    "hebrew": "iso8859_8",
    "hp8": "hp_roman8",
    "koi8r": "koi8_r",
    "koi8u": "koi8_u",
    "latin1": "cp1252",
    "latin2": "iso8859_2",
    "latin5": "iso8859_9",
    "latin7": "iso8859_13",
    "macce": "mac_latin2",
    "macroman": "mac_roman",
    "tis620": "tis_620",
    "big5": "big5",
    "gbk": "gbk",
    "sjis": "shift_jis",
    "cp932": "cp932",
    "euckr": "cp949",
    "gb2312": "gb2312",
    "ujis": "euc_jp",
    "eucjpms": "euc_jp",
}

# Bytes that the servers read otherwise than Python. The last two would become a backslash.
_OTHERWISE: Final[Mapping[str, Mapping[bytes, str]]] = {
    "latin1": {bytes((code,)): chr(code) for code in (0x81, 0x8D, 0x8F, 0x90, 0x9D)},
    "hebrew": {b"\xaf": "\u203e"},
    "koi8u": {b"\x95": "\u2022"},
    "greek": {b"\xa1": "\u02bd", b"\xa2": "\u02bc", b"\xa4": UNKNOWN, b"\xa5": UNKNOWN, b"\xaa": UNKNOWN},
    "cp866": {b"\xfc": "\u207f", b"\xfd": "\xb2"},
    "cp1256": dict.fromkeys((bytes((code,)) for code in (0x8A, 0x8F, 0x98, 0x9A, 0x9F, 0xAA, 0xC0, 0xFF)), UNKNOWN),
    "big5": dict.fromkeys(
        (b"\xa1\x5a", b"\xa1\xc3", b"\xa1\xc5", b"\xa1\xfe", b"\xa2\x40", b"\xa2\xcc", b"\xa2\xce"), UNKNOWN
    ),
    "eucjpms": {
        b"\xa1\xc1": "\uff5e",
        b"\xa1\xc2": "\u2225",
        b"\xa1\xdd": "\uff0d",
        b"\xa1\xf1": "\uffe0",
        b"\xa1\xf2": "\uffe1",
        b"\xa2\xcc": "\uffe2",
        b"\x8f\xa2\xb7": "\uff5e",
        b"\x8f\xa2\xc3": "\uffe4",
    },
    "sjis": {b"\x81\x5f": UNKNOWN},
    "ujis": {b"\xa1\xc0": UNKNOWN},
}

# What the servers take for one character of several bytes (their `ismbchar`), where its second byte may be ASCII or
# Python's codec would cut otherwise.
_DOUBLE: Final = {
    "big5": rb"[\xa1-\xf9][\x40-\x7e\xa1-\xfe]",
    "gbk": rb"[\x81-\xfe][\x40-\x7e\x80-\xfe]",
    "sjis": rb"[\x81-\x9f\xe0-\xfc][\x40-\x7e\x80-\xfc]",
    "cp932": rb"[\x81-\x9f\xe0-\xfc][\x40-\x7e\x80-\xfc]",
    "euckr": rb"[\x81-\xfe][\x41-\x5a\x61-\x7a\x81-\xfe]",
    "gb2312": rb"[\xa1-\xf7][\xa1-\xfe]",
    "ujis": rb"\x8e[\xa0-\xdf]|\x8f[\xa1-\xfe][\xa1-\xfe]|[\xa1-\xfe][\xa1-\xfe]",
    "eucjpms": rb"\x8e[\xa0-\xdf]|\x8f[\xa1-\xfe][\xa1-\xfe]|[\xa1-\xfe][\xa1-\xfe]",
    "gb18030": rb"[\x81-\xfe](?:[\x40-\x7e\x80-\xfe]|[\x30-\x39][\x81-\xfe][\x30-\x39])",
}
_PIECES: Final = {name: re.compile(pair + rb"|[\x00-\x7f]+|.", re.DOTALL) for name, pair in _DOUBLE.items()}

# Of character sets for which Python has no codec: the upper 128 characters. armscii8 has some of ASCII there, which are
# no punctuation to the parser.
_UPPER: Final = {
    "dec8": (
        "\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94\x95\x96\x97\x98\x99"
        "\x9a\x9b\x9c\x9d\x9e\x9f\xa0¡¢£�¥�§¤©ª«����°±²³�µ¶·�¹º»¼½�¿ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏ�ÑÒÓÔÕÖŒØÙÚÛÜŸ�ßàáâãäåæçèéêëì"
        "íîï�ñòóôõöœøùúûüÿ��"
    ),
    "armscii8": (
        "\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94\x95\x96\x97\x98\x99"
        "\x9a\x9b\x9c\x9d\x9e\x9f\xa0❁§։��»«—�՝��՟…՜՛՞ԱաԲբԳգԴդԵեԶզԷէԸըԹթԺժԻիԼլԽխԾծԿկՀհՁձՂղՃճՄմՅյՆն"
        "ՇշՈոՉչՊպՋջՌռՍսՎվՏտՐրՑցՒւՓփՔքՕօՖֆ’�"
    ),
    "geostd8": (
        "€�‚�„…†‡�‰�‹�����‘’“”•–—���›����\xa0¡¢£¤¥¦§¨©ª«¬\xad®¯°±²³´µ¶·¸¹º»¼½¾¿აბგდევზჱთიკლმნჲოპჟრსტჳუფქღყშჩცძწჭხ"
        "ჴჯჰჵ�����������������������№��"
    ),
    "keybcs2": (
        "ČüéďäĎŤčěĚĹÍľĺÄÁÉžŽôöÓůÚýÖÜŠĽÝŘťáíóúňŇŮÔšřŕŔ¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτ"
        "ΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\xa0"
    ),
}
# In swe7, letters are where ASCII has brackets. To the parser, back quote and backslash are what they are in ASCII.
_SWE7: Final = str.maketrans("@[]^{|}~", "\u00c9\u00c4\u00c5\u00dc\u00e4\u00f6\u00e5\u00fc")


def charset_of(collation: int) -> str | None:
    """The character set of a session whose character_set_client has this number; None where it is not known."""
    return _BY_COLLATION.get(collation) or _BY_COLLATION.get(collation - _NOPAD)


def decode(text: bytes, charset: str) -> str:
    """What a session with this character set meant. Never fails."""
    if text.isascii():
        plain = text.decode("ascii")
        return plain.translate(_SWE7) if charset == "swe7" else plain
    if charset == "swe7":
        return text.decode("ascii", "replace").translate(_SWE7)
    if charset in _UPPER:
        upper = _UPPER[charset]
        return "".join(chr(code) if code < 128 else upper[code - 128] for code in text)
    codec, otherwise, pieces = _CODECS[charset], _OTHERWISE.get(charset, {}), _PIECES.get(charset)
    if pieces is not None:
        return "".join(_one(piece, codec, otherwise) for piece in pieces.findall(text))
    if otherwise:
        return "".join(_one(bytes((code,)), codec, otherwise) for code in text)
    return text.decode(codec, "replace")


def encode(text: str, charset: str) -> bytes | None:
    """The bytes that `decode` reads so; None where this character set has not all of it."""
    out = bytearray()
    for char in text:
        code = char.encode("ascii") if char.isascii() else _inverse(charset).get(char)
        if code is None and charset in _CODECS:
            code = char.encode(_CODECS[charset], "ignore")
        if not code or decode(code, charset) != char:
            return None
        out += code
    return bytes(out)


@cache
def _inverse(charset: str) -> Mapping[str, bytes]:
    return {decode(bytes((code,)), charset): bytes((code,)) for code in range(0x80, 0x100)}


def _one(piece: bytes, codec: str, otherwise: Mapping[bytes, str]) -> str:
    """One character, or some of ASCII."""
    known = otherwise.get(piece)
    if known is not None:
        return known
    if piece.isascii():
        return piece.decode("ascii")
    try:
        return piece.decode(codec)
    except UnicodeDecodeError:
        return UNKNOWN
