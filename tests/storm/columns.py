"""Column types with values that every sql_mode accepts for them, and which types become which others by MODIFY.

Most come from the fidelity tests' table of types. Left out there: values that depend on a lenient sql_mode (zero dates,
numbers out of an ENUM), because a later ALTER of the whole table would fail on them under a strict one; and columns so
wide that a table of twelve would exceed the servers' row size.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

from hedgerow.common.mysql.connect import Flavour
from tests.fidelity.columns import columns_of

_LEFT_OUT: Final = frozenset({"varchar_long", "varchar_compressed", "not_null", "many_nulls", "generated", "invisible"})
_WIDENED: Final = ("tinyint", "smallint", "mediumint", "int", "bigint")
_PLAIN: Final = frozenset(
    (
        *_WIDENED,
        "decimal",
        "double",
        "float",
        "char",
        "varchar",
        "text",
        "date",
        "datetime",
        "timestamp",
        "time",
        "year",
    )
)
_FULLY_INDEXED: Final = _PLAIN - {"char", "varchar", "text"} | {"enum", "set", "uuid", "inet6", "inet4"}
_BY_PREFIX: Final = frozenset({"varchar", "text", "blob", "varbinary", "mediumblob", "longtext"})
_TEMPORAL: Final = frozenset({"date", "datetime", "timestamp", "time", "year"})


@dataclass(frozen=True, slots=True)
class Type:
    """`values` are SQL expressions. `default` is a literal for DEFAULT, empty where there is none."""

    sql: str
    values: tuple[str, ...]
    default: str = ""

    @property
    def family(self) -> str:
        return self.sql.replace("(", " ").split()[0].lower()

    @property
    def charset(self) -> str:
        return self.sql.partition("CHARACTER SET ")[2]

    @property
    def whole_number(self) -> bool:
        return self.family in _WIDENED

    @property
    def plain(self) -> bool:
        """Becomes any other plain type where the sql_mode is lenient."""
        return self.family in _PLAIN and "COMPRESSED" not in self.sql

    @property
    def is_text(self) -> bool:
        """It has a character set."""
        return self.family.endswith(("char", "text")) or self.family in ("enum", "set")

    @property
    def temporal(self) -> bool:
        return self.family in _TEMPORAL

    @property
    def index(self) -> str:
        """What follows the column's name in an index: nothing, a prefix; "-" where it cannot be indexed."""
        if "COMPRESSED" in self.sql:
            return "-"
        return "" if self.family in _FULLY_INDEXED else "(10)" if self.family in _BY_PREFIX else "-"

    def widens_to(self, other: Type) -> bool:
        """Every value survives unchanged."""
        if self.whole_number and other.whole_number:
            grows = _WIDENED.index(self.family) < _WIDENED.index(other.family)
            return grows and ("unsigned" in self.sql) == ("unsigned" in other.sql)
        texts = {"char": 0, "varchar": 1, "text": 2}
        if self.family in texts and other.family in texts and self.charset == other.charset:
            return texts[self.family] < texts[other.family]
        return False


BARE_TIMESTAMP: Final = Type("TIMESTAMP", ("'2024-02-29 23:59:59'", "'1999-12-31 00:00:00'", "CURRENT_TIMESTAMP"))
REAL: Final = Type("REAL", ("0", "1.5", "-3.25", "0.1"))  # FLOAT under REAL_AS_FLOAT
LABELS: Final = Type("VARCHAR(100)", ("''", "'a'", "'A'", "'grüße'", "'x y'", "REPEAT('z', 99)"), "'none'")
PLAIN_INT: Final = Type("INT", ("0", "1", "-1", "7", "2147483647", "-2147483648"), "7")
SERIALS: Final = (
    Type("INT", ()),
    Type("BIGINT", ()),
    Type("BIGINT UNSIGNED", ()),
    Type("VARCHAR(40)", ()),
    Type("VARCHAR(40) CHARACTER SET latin1", ()),
    Type("VARBINARY(40)", ()),
    Type("DECIMAL(20,0)", ()),
)


@cache
def types(flavour: Flavour) -> tuple[Type, ...]:
    found = [BARE_TIMESTAMP, REAL, LABELS, PLAIN_INT]
    for column in columns_of(flavour, (9,) if flavour == "mysql" else (10, 11)):
        if column.name in _LEFT_OUT or column.extra:
            continue
        values = tuple(value for value in column.values if _always_accepted(column.type, value))
        if values:
            # A label beyond ASCII needs a character set that has it, whatever the table's default is.
            plain = column.type.isascii() or "CHARACTER SET" in column.type
            sql = column.type if plain else f"{column.type} CHARACTER SET utf8mb4"
            found.append(Type(sql, values, values[0] if column.type in _WIDENED else ""))
    return tuple(found)


def _always_accepted(kind: str, value: str) -> bool:
    if value.startswith(("'0000", "'2024-00", "'2024-02-00")):
        return False
    family = kind.replace("(", " ").split()[0]
    if family == "year" and value == "0":
        return False
    if family == "set" and value.startswith("0x"):  # in a list of rows it is text
        return False
    return not (family == "enum" and value == "0")
