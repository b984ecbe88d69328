"""What a statement's event says of its session: events of real servers, and these with something in them changed."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.common.binlog import events as e
from hedgerow.common.binlog.position import Position
from hedgerow.common.errors import BinlogCorrupt, UnsupportedEvent
from hedgerow.common.mysql.connect import Flavour
from hedgerow.dispatcher.source import transactions as t
from hedgerow.dispatcher.source.charsets import UNKNOWN, charset_of, decode, encode
from hedgerow.dispatcher.source.statements import Statement, read_statement
from tests.data.record_binlogs import BINLOGS, FILE, flavour_of
from tests.unit.dispatcher.source.packets import frame, make_event, stream
from tests.unit.dispatcher.source.story import events_of_file

FLAVOURS: list[Flavour] = ["mariadb", "mysql"]


@cache
def recorded(flavour: Flavour) -> list[Statement]:
    """The statements of the recorded sessions."""
    (path,) = (path for path in BINLOGS.glob("*-sessions.bin") if flavour_of(path) == flavour)
    rotate = make_event(e.ROTATE, bytes(8) + FILE.encode(), log_pos=0)
    events, _ = frame(stream([rotate, *events_of_file(path.read_bytes())]))
    tracker = t.Tracker(flavour, Position(), "recorded")
    found = []
    for event in events:
        if tracker.feed(event) == t.DDL:
            assert tracker.statement is not None
            found.append(tracker.statement)
            tracker.finish_statement()
    return found


def one(flavour: Flavour, text: str) -> Statement:
    (found,) = (statement for statement in recorded(flavour) if text in statement.text)
    return found


def again(flavour: Flavour, event: bytes) -> Statement:
    return read_statement(event, text_at(event), FILE, "", False, flavour)


def text_at(event: bytes) -> int:
    return 33 + event[27] + int.from_bytes(event[30:32], "little")


def variables(event: bytes) -> Iterator[int]:
    return iter(range(32, 32 + int.from_bytes(event[30:32], "little")))


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("TABLE flags", {"foreign_key_checks": 0, "unique_checks": 0, "sql_auto_is_null": 1}),
        ("TABLE flags", {"explicit_defaults_for_timestamp": 0}),
        ("TABLE usual (", {"foreign_key_checks": 1, "unique_checks": 1, "sql_auto_is_null": 0}),
        ("ADD id INT", {"auto_increment_increment": 10, "auto_increment_offset": 3}),
        ('"mode"', {"sql_mode": 1 << 2 | 1 << 20}),
        ("TABLE zone", {"time_zone": "+03:00", "lc_time_names": 4}),
        ("DATABASE h", {"collation_server": 47, "collation_database": 77}),
        ("ADD at ", {"timestamp": 1600000000.123456}),
        ("`gr\u00f6`", {"character_set_client": "binary"}),
    ],
)
def test_what_the_session_had_set(flavour: Flavour, text: str, expected: dict[str, object]) -> None:
    session = one(flavour, text).session
    assert {name: session.get(name) for name in expected} == expected


def test_what_only_mariadb_says() -> None:
    session = one("mariadb", "more_flags").session
    assert session["check_constraint_checks"] == 0
    assert session["system_versioning_insert_history"] == session["sql_if_exists"] == 1
    assert one("mariadb", "TABLE uca").session["collation_connection"] == 2304
    assert one("mariadb", "TABLE nopad (").session["collation_connection"] == 1024 + 46


def test_what_only_mysql_says() -> None:
    assert one("mysql", "TABLE keyed").session["sql_require_primary_key"] == 1
    session = one("mysql", "DATABASE i").session
    assert session["default_collation_for_utf8mb4"] == 45
    assert session["default_table_encryption"] == 0
    assert session["collation_connection"] == 309


def test_a_statement_that_failed_in_part_says_so() -> None:
    assert one("mariadb", "DROP VIEW v, missing").error_code == 4092
    assert one("mariadb", "DROP TABLE `uca`").error_code == 0, "MariaDB's DROP TABLE does not say it"
    assert {statement.error_code for statement in recorded("mysql")} == {0}


def test_two_phase_alter_is_one_statement() -> None:
    """It is logged when it begins and when it ends; one that is rolled back is none."""
    assert one("mariadb", "ALTER TABLE nopad ADD b INT").alter_phase == "commit"
    assert not [statement for statement in recorded("mariadb") if "UNIQUE" in statement.text]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_text_is_read_in_the_sessions_character_set_and_sent_as_it_is(flavour: Flavour) -> None:
    latin = one(flavour, "CREATE TABLE `stra\u00dfe`")
    assert latin.text.endswith("_latin1'\u00e9', b INT COMMENT '\u00c3\x81')")
    assert latin.raw.endswith(b"_latin1'\xe9', b INT COMMENT '\xc3\x81')")
    chinese = one(flavour, "CHARACTER SET gbk")
    assert chinese.text.startswith("CREATE TABLE `\u661e\u6624`")
    assert chinese.raw.startswith(b"CREATE TABLE `\x95\x5c\x95\x60`")
    assert one(flavour, "`gr\u00f6`").text.endswith("DEFAULT '\u00e4')")


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_what_the_server_wrote_itself_is_utf8(flavour: Flavour) -> None:
    """Though the session was in latin1: the servers write these texts in UTF-8 and do not say so."""
    for text in ("CREATE TABLE `als\u00df`", "CREATE TABLE `wie\u00df`"):
        statement = one(flavour, text)
        assert statement.session["character_set_client"] == "utf8mb4"
        assert statement.raw.decode("utf-8") == statement.text
    if flavour == "mysql":
        assert "`\u00df` int" in one(flavour, "my_row_id").text


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_what_the_server_wrote_into_a_statement_is_in_the_sessions_character_set(flavour: Flavour) -> None:
    """Names, definers and comments of views and programs: the servers put them there in UTF-8, here and there."""
    for text in (
        "VIEW `sicht\u00df`(`\u00e9`, `b`) AS SELECT '\u00df'",
        "DEFINER=`m\u00fcller`@`%` SQL SECURITY DEFINER VIEW `des\u00df` AS SELECT '\u00df'",
        "DEFINER=`m\u00fcller`@`%` TRIGGER `tr\u00df` BEFORE INSERT ON `wie\u00df` FOR EACH ROW SET @x = '\u00e9'",
        "DEFINER=`m\u00fcller`@`%` PROCEDURE `proz\u00df`(`\u00df` INT)\n    NO SQL\n    COMMENT '\u00e9'\nSELECT",
    ):
        statement = one(flavour, text)
        assert statement.session["character_set_client"] == "latin1"
        assert statement.raw == statement.text.encode("latin-1")


def test_a_name_that_the_session_could_not_have_sent_is_refused() -> None:
    event = one("mysql", "`des\u00df`").event
    changed = event.replace("m\u00fcller".encode(), "m\u0142ler".encode())
    assert changed != event
    with pytest.raises(UnsupportedEvent, match=r"two character sets.*m\u0142ler.*latin1"):
        again("mysql", changed)


@given(st.sampled_from(sorted({charset_of(n) or "binary" for n in range(300)})), st.text(max_size=8))
def test_what_can_be_written_is_read_alike(charset: str, text: str) -> None:
    written = encode(text, charset)
    assert written is None or decode(written, charset) == text
    if text.isascii() and charset != "swe7":
        assert written == text.encode()


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_what_is_not_known_is_refused_by_name(flavour: Flavour) -> None:
    event = bytearray(one(flavour, "TABLE usual (").event)
    assert event[32] == 0, "the first status variable is FLAGS2"
    unknown = [1 << bit for bit in range(32) if not known_bit(flavour, bit)]
    for bit in unknown:
        changed = event[:33] + struct.pack("<I", struct.unpack_from("<I", event, 33)[0] | bit) + event[37:]
        with pytest.raises(UnsupportedEvent, match=f"options {bit:#x}"):
            again(flavour, bytes(changed))
    for flag in (0x400, 0x800, 0x1000, 0x2000):
        changed = event[:17] + struct.pack("<H", flag) + event[19:]
        with pytest.raises(UnsupportedEvent, match=f"header flags {flag:#x}"):
            again(flavour, bytes(changed))
    assert event[37] == 1, "the second one is SQL_MODE"
    for code in {*range(256)} - known_codes(flavour):
        with pytest.raises(UnsupportedEvent, match=f"status variable {code},"):
            again(flavour, bytes(event[:37] + bytes([code]) + event[38:]))
    at = bytes(event).index(b"\x04" + struct.pack("<H", 45 if flavour == "mariadb" else 255), 38)
    with pytest.raises(UnsupportedEvent, match="character_set_client is number 999"):
        again(flavour, bytes(event[: at + 1] + struct.pack("<H", 999) + event[at + 3 :]))


def known_bit(flavour: Flavour, bit: int) -> bool:
    return bit in (14, 19, 26, 27) or (flavour == "mariadb" and bit in (15, 24, 28, 30))


def known_codes(flavour: Flavour) -> set[int]:
    return {*range(13), *((128, 129, 130, 131) if flavour == "mariadb" else (13, 16, 17, 18, 19, 20))}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_status_variables_that_end_too_early_are_damaged(flavour: Flavour) -> None:
    for statement in recorded(flavour):
        event = statement.event
        for end in variables(event):
            shorter = bytearray(event[:end] + event[32 + int.from_bytes(event[30:32], "little") :])
            struct.pack_into("<H", shorter, 30, end - 32)
            try:
                again(flavour, bytes(shorter))
            except BinlogCorrupt as error:
                assert "status variables" in str(error)  # noqa: PT017 - it may end between two of them


@pytest.mark.parametrize("charset", ["big5", "gbk", "sjis", "cp932", "euckr", "gb18030"])
def test_the_second_byte_of_a_character_is_no_quote(charset: str) -> None:
    """0x5C and 0x60 are a backslash and a back quote only where they are characters of their own."""
    pair = {"euckr": b"\xb0\x61", "big5": b"\xa5\x5c"}.get(charset, b"\x95\x5c")
    read = decode(b"`" + pair + b"` '" + pair + b"' '\\'", charset)
    assert (read[0], read[2], read[3:5], read[6:]) == ("`", "`", " '", "' '\\'")
    assert not read[1].isascii()
    assert read[1] == read[5] != UNKNOWN


def test_no_byte_beyond_ascii_becomes_a_part_of_the_syntax() -> None:
    names = {charset_of(number) for number in range(3300)} - {None}
    assert len(names) == 37
    for name in names:
        assert name is not None
        for high in range(0x80, 0x100):
            for text in (bytes([high]), bytes([high, 0x30]), bytes([high, 0x30, high, 0x30]), bytes([high, high])):
                assert [c for c in decode(text, name) if c.isascii()] == ["0"] * text.count(b"0") or name == "gb18030"
            for quote in b"'`\"\\;":
                read = decode(bytes([high, quote]), name)
                assert len(read) in (1, 2)
                assert not read[0].isascii()
        plain = bytes(set(range(128)) - set(b"@[]^{|}~") if name == "swe7" else range(128))
        assert decode(plain, name) == plain.decode("ascii")
