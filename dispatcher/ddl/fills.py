"""Which columns ALTER TABLE fills with values that the source and the sink would not agree on. Pure.

A DEFAULT is computed for the rows that are there when its column is added, by each server for itself; a stored column
is computed again for all of them. What is known to give the same on both, in the session that the binlog describes
(time, time zone, sql_mode, character sets), is listed; everything else counts as different. MySQL refuses most of that
itself (error 1674), MariaDB nothing.
"""

from __future__ import annotations

from typing import Final

from hedgerow.dispatcher.ddl.model import Fill
from hedgerow.dispatcher.ddl.scan import Scan

_TIME = """NOW CURRENT_TIMESTAMP LOCALTIME LOCALTIMESTAMP CURDATE CURRENT_DATE CURTIME CURRENT_TIME UTC_DATE UTC_TIME
UTC_TIMESTAMP"""
_DATES = """ADDDATE ADDTIME DATE DATE_ADD DATE_FORMAT DATE_SUB DATEDIFF DAY DAYNAME DAYOFMONTH DAYOFWEEK DAYOFYEAR
EXTRACT FROM_DAYS FROM_UNIXTIME GET_FORMAT HOUR LAST_DAY MAKEDATE MAKETIME MICROSECOND MINUTE MONTH MONTHNAME PERIOD_ADD
PERIOD_DIFF QUARTER SEC_TO_TIME SECOND STR_TO_DATE SUBDATE SUBTIME TIME TIME_FORMAT TIME_TO_SEC TIMEDIFF TIMESTAMP
TIMESTAMPADD TIMESTAMPDIFF TO_DAYS TO_SECONDS UNIX_TIMESTAMP WEEKDAY WEEKOFYEAR YEAR YEARWEEK"""
_TEXTS = """ASCII BIN BIT_LENGTH CHAR CHAR_LENGTH CHARACTER_LENGTH CHR CONCAT CONCAT_WS ELT EXPORT_SET FIELD FIND_IN_SET
FORMAT FROM_BASE64 HEX INSERT INSTR LCASE LEFT LENGTH LENGTHB LOCATE LOWER LPAD LTRIM MAKE_SET MID NCHAR OCT
OCTET_LENGTH ORD POSITION QUOTE REGEXP_INSTR REGEXP_LIKE REGEXP_REPLACE REGEXP_SUBSTR REPEAT REPLACE REVERSE RIGHT RPAD
RTRIM SOUNDEX SPACE STRCMP SUBSTR SUBSTRING SUBSTRING_INDEX TO_BASE64 TRIM UCASE UNHEX UPPER WEIGHT_STRING"""
_NUMBERS = """ABS ACOS ASIN ATAN ATAN2 BIT_COUNT CEIL CEILING CONV COS COT CRC32 CRC32C DEGREES EXP FLOOR GREATEST LEAST
LN LOG LOG10 LOG2 MOD PI POW POWER RADIANS ROUND SIGN SIN SQRT TAN TRUNCATE"""
_OTHERS = """BIN_TO_UUID BINARY CASE CAST COALESCE COLLATION COERCIBILITY CHARSET CONVERT IF IFNULL IN INET6_ATON
INET6_NTOA INET_ATON INET_NTOA INTERVAL IS_IPV4 IS_IPV6 IS_UUID ISNULL MD5 NULLIF NVL NVL2 SHA SHA1 SHA2 UUID_TO_BIN
VALUE AND OR NOT XOR DIV BETWEEN LIKE WHEN THEN ELSE DECIMAL NUMERIC VARCHAR VARBINARY CHARACTER FLOAT DOUBLE DATETIME
VEC_FROMTEXT VEC_TOTEXT STRING_TO_VECTOR TO_VECTOR VECTOR_TO_STRING FROM_VECTOR
POINT LINESTRING POLYGON MULTIPOINT MULTILINESTRING MULTIPOLYGON GEOMETRYCOLLECTION"""
_SAME: Final = frozenset(" ".join((_TIME, _DATES, _TEXTS, _NUMBERS, _OTHERS)).split())
_SAME_FAMILIES: Final = ("JSON_", "ST_", "MBR")
# Words that are calls without parentheses; others are columns or part of the grammar.
_CALLS: Final = frozenset({"CURRENT_USER", "CURRENT_ROLE", "SYSDATE", "ROWNUM"})
_SEQUENCES: Final = (("NEXT", "VALUE", "FOR"), ("PREVIOUS", "VALUE", "FOR"))


def column_fill(scan: Scan, column: str, *, new: bool, former: str) -> Fill | None:
    """Of one column's definition, the cursor after its name. `new`: it is added, else it was called `former`."""
    depth = 0
    while not scan.done:
        if depth == 0 and scan.looks_at(",", ")"):
            return None
        if depth == 0 and scan.takes("AFTER"):
            scan.skip()
            continue
        if depth == 0 and _numbers(scan):
            return Fill(f"the numbers of column {column}", ordered=True, numbered="" if new else former)
        found = ""
        if depth == 0 and new and scan.takes("DEFAULT"):
            found = _uneven(scan, scan.at, _end_of_default(scan))
        elif depth == 0 and scan.looks_at("AS") and scan.looks_at("(", ahead=1):
            begin = scan.at + 1
            end = _end_of_group(scan, begin)
            if _is_stored(scan, end):
                found = _uneven(scan, begin, end)
            scan.at = end
        else:
            depth += scan.looks_at("(") - scan.looks_at(")")
            scan.skip()
        if found:
            return Fill(f"{found} for column {column}")
    return None


def _numbers(scan: Scan) -> bool:
    serial = scan.looks_at("SERIAL") or (scan.looks_at("DEFAULT") and scan.looks_at("VALUE", ahead=1))
    return serial or scan.looks_at("AUTO_INCREMENT")


def _end_of_default(scan: Scan) -> int:
    """Where the expression after DEFAULT ends; the cursor goes there. MariaDB wants no parentheses around a call."""
    begin = scan.at
    if any(scan.takes(*phrase) for phrase in _SEQUENCES):
        scan.identifier()
        return scan.at
    while scan.takes_any("+", "-"):
        pass
    scan.skip()
    while scan.takes("."):
        scan.skip()
    if scan.looks_at("("):
        scan.skip_group()
    elif begin + 1 == scan.at and scan.tokens[begin].value == "(":
        scan.at = begin
        scan.skip_group()
    return scan.at


def _end_of_group(scan: Scan, begin: int) -> int:
    at, scan.at = scan.at, begin
    scan.skip_group()
    end, scan.at = scan.at, at
    return end


def _is_stored(scan: Scan, at: int) -> bool:
    while at < len(scan.tokens) and scan.tokens[at].value not in (",", ")"):
        if scan.tokens[at].value in ("STORED", "PERSISTENT"):
            return True
        at += 1
    return False


def _uneven(scan: Scan, begin: int, end: int) -> str:
    """The first part of the expression that is not known to give the same on both servers; empty if there is none."""
    tokens = scan.tokens
    for index in range(begin, min(end, len(tokens))):
        token = tokens[index]
        calls = index + 1 < len(tokens) and tokens[index + 1].value == "(" and tokens[index + 1].kind == "symbol"
        if token.kind == "symbol" and token.value in "@/":
            return "a variable" if token.value == "@" else "a division"
        if token.kind == "quoted" and calls:
            return f"{token.text}()"
        if token.kind != "word":
            continue
        if token.value in _CALLS or any(_spells(scan, index, phrase) for phrase in _SEQUENCES):
            return token.value
        if calls and token.value not in _SAME and not token.value.startswith(_SAME_FAMILIES):
            return f"{token.value}()"
    return ""


def _spells(scan: Scan, index: int, phrase: tuple[str, ...]) -> bool:
    return tuple(token.value for token in scan.tokens[index : index + len(phrase)]) == phrase
