"""What a table-map event says of its table: the name, and the columns. Pure.

Layout: post-header (table id 6, flags 2), schema and table as length, text and 0, number of columns as a packed
integer, a byte of type for each, their metadata, a bit for each that may be NULL, then optional fields (type, length,
value). Which of these are there is up to binlog_row_metadata: on MySQL signedness and character sets always, with FULL
names and members of ENUM and SET too; on MariaDB none with NO_LOG, its default. Sources: mysql-server, class
Table_map_event in libs/mysql/binlog/event/rows_event.h; MariaDB, class Table_map_log_event in sql/log_event.h; which
types count as numbers and as strings was found by reading what the servers write.

What cannot be read as laid out is left unsaid, so that nothing is judged by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from hedgerow.common.binlog import events as e
from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.mysql.names import TableName

# Types (enum_field_types of both servers) by what optional metadata says of them.
_NUMERIC: Final = frozenset({1, 2, 3, 4, 5, 8, 9, 13, 246})  # YEAR (13) too
_STRINGS: Final[dict[Flavour, frozenset[int]]] = {
    "mysql": frozenset({15, 242, 252, 253, 254}),  # VECTOR (242) too
    "mariadb": frozenset({15, 140, 141, 252, 253, 254, 255}),  # compressed BLOB and VARCHAR (140, 141), GEOMETRY (255)
}
_ENUM, _SET = 247, 248
FRACTIONS: Final = {17: "timestamp", 18: "datetime", 19: "time"}  # their metadata is the number of fractional digits
# How the catalogs call columns of a type; what is not here is not judged.
_GEOMETRIES = (
    "geometry point linestring polygon multipoint multilinestring multipolygon geometrycollection geomcollection"
)
WORDS: Final[dict[int, frozenset[str]]] = {
    number: frozenset(words.split())
    for number, words in {
        1: "tinyint", 2: "smallint", 3: "int", 4: "float", 5: "double", 7: "timestamp", 8: "bigint", 9: "mediumint",
        10: "date", 11: "time", 12: "datetime", 13: "year", 14: "date", 15: "varchar varbinary", 16: "bit",
        17: "timestamp", 18: "datetime", 19: "time", 245: "json", 246: "decimal", 247: "enum", 248: "set",
        252: "tinyblob blob mediumblob longblob tinytext text mediumtext longtext json", 255: _GEOMETRIES,
        254: "char binary uuid inet4 inet6",
    }.items()
}  # fmt: skip
_METADATA_BYTES: Final = {
    **dict.fromkeys((4, 5, 17, 18, 19, 140, 242, 245, 249, 250, 251, 252, 255), 1),
    **dict.fromkeys((15, 16, 141, 246, 247, 248, 253, 254), 2),
    **dict.fromkeys((1, 2, 3, 6, 7, 8, 9, 10, 11, 12, 13, 14), 0),
}
_SIGNEDNESS, _DEFAULT_CHARSET, _COLUMN_CHARSET, _COLUMN_NAME = 1, 2, 3, 4
_SET_MEMBERS, _ENUM_MEMBERS, _SIMPLE_KEY, _PREFIX_KEY = 5, 6, 8, 9
_MEMBERS_DEFAULT_CHARSET, _MEMBERS_COLUMN_CHARSET = 10, 11


class TableMap:
    """One table as a table-map event names it. The same object comes back while the event's body stays the same."""

    __slots__ = ("schema", "table", "table_id")

    def __init__(self, body: bytes) -> None:
        """`body`: the event without its header. Raises ValueError or IndexError where it does not hold together."""
        self.table_id = int.from_bytes(body[:6], "little")
        self.schema, self.table, _ = _names(body, e.TABLE_BODY_AT - e.HEADER)

    def __repr__(self) -> str:
        return f"TableMap({self.schema}.{self.table}, {self.table_id})"


def table_name(event: bytes) -> TableName:
    """The table that an event with its header names."""
    schema, table, _ = _names(event, e.TABLE_BODY_AT)
    return TableName(schema, table)


def _names(data: bytes, at: int) -> tuple[str, str, int]:
    """Schema and table, which stand at `at` as length, text and 0; and where they end."""
    schema_end = at + 1 + data[at]
    table_at = schema_end + 2
    table_end = table_at + data[schema_end + 1]
    return data[at + 1 : schema_end].decode("utf-8"), data[table_at:table_end].decode("utf-8"), table_end + 1


@dataclass(frozen=True, slots=True)
class MappedColumn:
    """`type`: the server's number; of STRING the real one, which may be ENUM or SET. None: not said. `collation`: its
    id. `members`: of ENUM and SET, in the column's character set."""

    type: int
    metadata: bytes
    nullable: bool
    unsigned: bool | None = None
    collation: int | None = None
    name: str | None = None
    members: tuple[bytes, ...] | None = None

    @property
    def bytes(self) -> int:
        """The longest value of CHAR and VARCHAR, in bytes; 0 for others."""
        if self.type == 15:
            return int.from_bytes(self.metadata, "little")
        # Lengths above 255 have two more bits in the type's byte (mysql-server, Field_string::do_save_field_metadata).
        return self.metadata[1] | ((self.metadata[0] & 0x30) ^ 0x30) << 4 if self.type == 254 else 0


@dataclass(frozen=True, slots=True)
class MappedTable:
    """`key`: the numbers of the primary key's columns, None where it is not said."""

    columns: tuple[MappedColumn, ...]
    key: tuple[int, ...] | None = None


def read_table_map(event: bytes, flavour: Flavour) -> MappedTable:
    """`event` with its header, without a checksum. Raises ValueError or IndexError where it does not hold together."""
    cursor = _Cursor(event, _names(event, e.TABLE_BODY_AT)[2])
    types, metadata = _types(cursor)
    nulls = cursor.take((len(types) + 7) // 8)
    columns: list[MappedColumn] = []
    for number, (kind, data) in enumerate(zip(types, metadata, strict=False)):
        real = data[0] if kind == 254 and data[0] in (_ENUM, _SET) else kind
        columns.append(MappedColumn(real, data, bool(nulls[number // 8] >> number % 8 & 1)))
    unread = range(len(metadata), len(types))
    if unread:
        columns += [MappedColumn(0, b"", bool(nulls[at // 8] >> at % 8 & 1)) for at in unread]
        return MappedTable(tuple(columns))
    fields: dict[int, bytes] = {}
    while cursor.left:
        field = cursor.byte()
        fields[field] = cursor.take(cursor.packed())
    return _with_fields(columns, fields, flavour)


def column_types(event: bytes) -> tuple[bytes, list[bytes]]:
    """Of an event with its header, the type of each column, and the metadata of each up to one whose type is not known
    here: what follows that cannot be told apart. Raises as read_table_map."""
    return _types(_Cursor(event, _names(event, e.TABLE_BODY_AT)[2]))


def _types(cursor: _Cursor) -> tuple[bytes, list[bytes]]:
    """The cursor is at the number of columns; it is left at their NULL bits."""
    types = cursor.take(cursor.packed())
    packed = _Cursor(cursor.take(cursor.packed()))
    metadata: list[bytes] = []
    for kind in types:
        size = _METADATA_BYTES.get(kind)
        if size is None:
            break
        metadata.append(packed.take(size))
    return types, metadata


def _with_fields(columns: list[MappedColumn], fields: dict[int, bytes], flavour: Flavour) -> MappedTable:
    def numbers(*types: int) -> list[int]:
        return [number for number, column in enumerate(columns) if column.type in types]

    numeric = numbers(*_NUMERIC)
    signs = fields.get(_SIGNEDNESS, b"")
    if signs and len(signs) == (len(numeric) + 7) // 8:
        for at, number in enumerate(numeric):
            columns[number] = replace(columns[number], unsigned=bool(signs[at // 8] >> 7 - at % 8 & 1))
    members = numbers(_ENUM, _SET)
    for default, each, listed in (
        (_DEFAULT_CHARSET, _COLUMN_CHARSET, numbers(*_STRINGS[flavour])),
        (_MEMBERS_DEFAULT_CHARSET, _MEMBERS_COLUMN_CHARSET, members),
    ):
        collations = _collations(fields.get(default), fields.get(each), len(listed))
        for number, collation in zip(listed, collations, strict=False):
            columns[number] = replace(columns[number], collation=collation)
    for field, kind in ((_SET_MEMBERS, _SET), (_ENUM_MEMBERS, _ENUM)):
        values = _lists(fields.get(field, b""))
        listed = numbers(kind)
        if len(values) == len(listed):
            for number, value in zip(listed, values, strict=True):
                columns[number] = replace(columns[number], members=value)
    names = _texts(fields.get(_COLUMN_NAME, b""))
    if len(names) == len(columns):
        columns = [replace(column, name=name.decode()) for column, name in zip(columns, names, strict=True)]
    key: tuple[int, ...] | None = None
    if _SIMPLE_KEY in fields:
        key = tuple(_integers(fields[_SIMPLE_KEY]))
    elif _PREFIX_KEY in fields:
        key = tuple(_integers(fields[_PREFIX_KEY])[::2])
    return MappedTable(tuple(columns), key)


def _collations(default: bytes | None, each: bytes | None, count: int) -> Sequence[int]:
    """One for each of `count` columns, or none: a default with exceptions (which column, its collation), or a list."""
    if each is not None:
        listed = _integers(each)
        return listed if len(listed) == count else ()
    if default is None:
        return ()
    first, *exceptions = _integers(default)
    found = [first] * count
    for number, collation in zip(exceptions[::2], exceptions[1::2], strict=True):
        found[number] = collation
    return found


def _integers(data: bytes) -> list[int]:
    cursor, found = _Cursor(data), []
    while cursor.left:
        found.append(cursor.packed())
    return found


def _texts(data: bytes) -> list[bytes]:
    cursor, found = _Cursor(data), []
    while cursor.left:
        found.append(cursor.take(cursor.packed()))
    return found


def _lists(data: bytes) -> list[tuple[bytes, ...]]:
    cursor, found = _Cursor(data), []
    while cursor.left:
        found.append(tuple(cursor.take(cursor.packed()) for _ in range(cursor.packed())))
    return found


class _Cursor:
    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data = data
        self._at = at

    @property
    def left(self) -> bool:
        return self._at < len(self._data)

    def byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def take(self, size: int) -> bytes:
        if self._at + size > len(self._data):
            raise ValueError("the event ends before what it says it has")
        self._at += size
        return bytes(self._data[self._at - size : self._at])

    def packed(self) -> int:
        first = self.byte()
        return first if first < 251 else int.from_bytes(self.take({252: 2, 253: 3, 254: 8}[first]), "little")
