"""Whether the sink's tables can take the source's rows as they are, judged by the table map that is in force. Pure.

Both servers check types and lengths of rows events themselves and refuse what they cannot store (found by trying every
pair of types on both). What they do not check changes values in silence, so it is refused here: columns that the sink
lacks; NULL for a NOT NULL column (becomes 0 or the default); fractional digits (rows are read at the wrong offsets);
signedness; character sets, where bytes mean something else; ENUM and SET, which travel as numbers; columns in another
order. A difference that changes no value is none: longer lists of members, a wider character set with the same bytes,
NULL for NOT NULL, keys, collations, defaults, visibility.

Unless binlog_row_metadata = FULL, MariaDB says nothing of signedness, character sets, members and names, and MySQL
nothing of members and names: those are compared by the servers' catalogs (dispatcher.sink.columns.definitions).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hedgerow.common.binlog.events import HEADER
from hedgerow.common.binlog.rows_header import read_rows_header
from hedgerow.common.binlog.table_map import FRACTIONS, WORDS, MappedColumn, MappedTable, read_table_map
from hedgerow.common.errors import BinlogCorrupt, SinkRefused
from hedgerow.common.mysql.catalog import Column
from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.mysql.names import TableName, quoted
from hedgerow.dispatcher.sink.columns.rowsearch import SearchedTable, refuse_unfound

_MOST_CHECKED = 10_000
_SHOWN = 5
# (the source's, the sink's): the same bytes mean the same.
_WIDER = frozenset({("utf8mb3", "utf8mb4"), *(("ascii", other) for other in ("latin1", "utf8mb3", "utf8mb4"))})
_VARIABLE = frozenset({15, 252, 253})  # VARCHAR and BLOB: not padded, so that binary holds the text that clients get
_WIDTHS = {"ascii": 1, "latin1": 1, "latin2": 1, "ucs2": 2, "utf8mb3": 3, "utf8mb4": 4, "utf16": 4, "utf32": 4}
_CODECS = {"utf8mb3": "utf-8", "utf8mb4": "utf-8", "ascii": "ascii", "latin1": "cp1252", "ucs2": "utf-16-be"} | {
    "utf16": "utf-16-be", "utf32": "utf-32-be", "latin2": "iso8859-2", "cp1250": "cp1250", "cp1251": "cp1251",
    "koi8r": "koi8-r", "greek": "iso8859-7", "hebrew": "iso8859-8", "big5": "big5", "gbk": "gbk", "sjis": "cp932",
    "cp932": "cp932", "ujis": "euc_jp", "euckr": "euc_kr", "gb2312": "gb2312", "gb18030": "gb18030",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SinkTable:
    """`hides`: rows events may have more columns than the catalog shows, after those that it does. `nullable_uniques`:
    of a table without a key, columns of its UNIQUE keys that may hold NULL; MariaDB only."""

    columns: tuple[Column, ...]
    hides: bool = False
    nullable_uniques: tuple[frozenset[str], ...] = ()


class Shapes:
    """What is known of the sink's tables, by dispatcher. `charsets`: names of character sets by collation id. `learn`
    is called with a dispatcher whose table is not known yet, and calls `update`; `source_key` with one whose rows the
    sink might not find, for what the source's table has as its primary key. `version`: the sink's."""

    def __init__(
        self,
        flavour: Flavour,
        version: tuple[int, ...],
        charsets: Mapping[int, str],
        learn: Callable[[str], None],
        source_key: Callable[[str], Sequence[str]],
    ) -> None:
        self._flavour: Flavour = flavour
        self._version = version
        self._learn = learn
        self._source_key = source_key
        self._tables: dict[str, SinkTable | None] = {}
        self._forbidden: dict[str, Sequence[Difference]] = {}
        self._charsets = charsets
        self._checked: set[tuple[str, bytes]] = set()
        self._found: set[tuple[str, int, bytes]] = set()
        self._served: set[str] = set()  # had rows

    def update(self, tables: Mapping[str, SinkTable | None]) -> None:
        """The sink's definitions of these are now so; None: there is no such table."""
        self._tables.update(tables)
        for key in tables:
            self._forbidden.pop(key, None)
        self._checked = {each for each in self._checked if each[0] not in tables}
        self._found = {each for each in self._found if each[0] not in tables}

    def forbid(self, dispatcher: str, found: Sequence[Difference]) -> None:
        """Its table's next rows are refused, unless it is read again. Raises SinkRefused where it had rows already."""
        if dispatcher in self._served:
            refuse(TableName(*dispatcher.split(".", 1)), found)
        self._forbidden[dispatcher] = found

    @property
    def known(self) -> frozenset[str]:
        return frozenset(self._tables)

    def check(self, dispatcher: str, name: TableName, table_map: bytes) -> None:
        """Once for each table map that differs. Raises SinkRefused."""
        body = bytes(table_map[HEADER:])
        if (dispatcher, body) in self._checked:
            return
        if self._tables.get(dispatcher) is None:  # a table that was not there may be there now
            self._learn(dispatcher)
        refuse(name, self._forbidden.get(dispatcher, ()))
        ours = self._tables.get(dispatcher)
        if ours is None:
            return
        refuse(name, list(differences(self._read(name, table_map), ours, self._charsets)))
        if len(self._checked) >= _MOST_CHECKED:
            self._checked.clear()
        self._checked.add((dispatcher, body))
        self._served.add(dispatcher)

    @property
    def searches(self) -> bool:
        """Whether `check_rows` has anything to say: MySQL finds every row."""
        return self._flavour == "mariadb"

    def check_rows(self, dispatcher: str, name: TableName, rows_event: bytes) -> None:
        """Once for each set of columns that UPDATE and DELETE events of a checked table have of the rows before. Raises
        SinkRefused."""
        header, ours = read_rows_header(rows_event), self._tables.get(dispatcher)
        seen = (dispatcher, header.columns, header.images[0])
        if ours is None or seen in self._found:
            return
        searched = SearchedTable(name, ours.columns, ours.nullable_uniques, self._source_key(dispatcher))
        refuse_unfound(searched, header, self._version)
        if len(self._found) >= _MOST_CHECKED:
            self._found.clear()
        self._found.add(seen)

    def _read(self, name: TableName, table_map: bytes) -> MappedTable:
        try:
            return read_table_map(table_map, self._flavour)
        except (ValueError, LookupError) as error:
            raise BinlogCorrupt(
                f"a table map of {name.key} does not hold together ({error}): check the source's binlog with "
                "mysqlbinlog"
            ) from error


@dataclass(frozen=True, slots=True)
class Difference:
    """`column`: the sink's, None where it has none there. `wanted`: its type as it should be, empty where that cannot
    be told."""

    text: str
    column: Column | None = None
    wanted: str = ""


def refuse(name: TableName, found: Sequence[Difference]) -> None:
    """Raises SinkRefused where something was found."""
    if not found:
        return
    shown = "; ".join(one.text for one in found[:_SHOWN])
    more = f"; and {len(found) - _SHOWN} more" if found[_SHOWN:] else ""
    changes = [f"MODIFY COLUMN {quoted(one.column.name)} {one.wanted}" for one in found if one.column and one.wanted]
    if len(changes) == len(found):
        fix = f"ALTER TABLE {name.quoted} {', '.join(changes)}; in the sink (with the rest of their definitions)"
    else:
        fix = f"ALTER TABLE {name.quoted} in the sink until both SHOW CREATE TABLE agree"
    raise SinkRefused(
        f"table {name.key} in the sink cannot take the source's rows as they are, values would be changed without an "
        f"error: {shown}{more}. Give it the source's columns: {fix}; bring rows in line that it has already, "
        "then resume"
    )


def differences(theirs: MappedTable, ours: SinkTable, charsets: Mapping[int, str]) -> Iterator[Difference]:
    """What would change values in silence."""
    if len(theirs.columns) > len(ours.columns) and not ours.hides:
        yield Difference(
            f"rows have {len(theirs.columns)} columns in the source's binlog, and {len(ours.columns)} in the sink: "
            "what it lacks would be lost"
        )
    for number, (there, here) in enumerate(zip(theirs.columns, ours.columns, strict=False), start=1):
        yield from _column(number, there, here, charsets)


def _column(number: int, there: MappedColumn, here: Column, charsets: Mapping[int, str]) -> Iterator[Difference]:
    if there.name is not None and there.name.casefold() != here.name.casefold():
        yield Difference(f"column {number} is {here.name} instead of {there.name}")
        return  # the rest is of another column
    if here.generated:
        return  # the sink computes it
    words = WORDS.get(there.type)
    if words is not None and here.word not in words:
        wanted = " or ".join(sorted(words))
        yield Difference(f"column {number} is {here.name} {here.type} instead of one of type {wanted}")
        return
    if there.nullable and not here.nullable:
        yield Difference(f"column {here.name} is NOT NULL instead of NULL", here, definition(here, nullable=True))
    if there.unsigned is not None and here.is_numeric and there.unsigned != here.unsigned:
        length = here.type.partition("(")[2].partition(")")[0]
        kind = f"{here.word}({length})" if "," in length else here.word  # of an integer it is for show only
        yield is_instead_of(here, f"{kind} unsigned" if there.unsigned else kind)
    if (word := FRACTIONS.get(there.type)) is not None and here.word == word:
        digits = there.metadata[0]
        wanted = f"{word}({digits})" if digits else word
        if here.type != wanted:
            yield is_instead_of(here, wanted)
    theirs = charsets.get(there.collation) if there.collation is not None else None
    numbered = there.members is not None or here.members is not None
    if theirs is not None and not numbered and not holds(theirs, here, variable=there.type in _VARIABLE):
        yield Difference(
            f"column {here.name} has character set {here.charset or 'binary'} instead of {theirs}",
            here,
            _recoded(there, theirs, here),
        )
    members = _decoded(there.members, theirs)
    if members is not None and here.members is not None and here.members[: len(members)] != members:
        yield is_instead_of(here, f"{here.word}({','.join(_literal(member) for member in members)})")


def _decoded(members: tuple[bytes, ...] | None, charset: str | None) -> tuple[str, ...] | None:
    """None where they are not said, or cannot be read."""
    if members is None or charset not in _CODECS:
        return None
    try:
        return tuple(member.decode(_CODECS[charset]) for member in members)
    except UnicodeDecodeError:
        return None


def holds(theirs: str, here: Column, *, variable: bool) -> bool:
    """Whether bytes of character set `theirs` mean the same in the sink's column. `variable`: they are not padded."""
    ours = plain(here.charset) or "binary"
    if ours == "binary" and here.is_opaque:
        return True  # a type with a format of its own: two servers that agree on it agree on the bytes
    return (
        theirs == ours
        or (theirs, ours) in _WIDER
        or (ours == "binary" and variable and theirs in ("ascii", "utf8mb3", "utf8mb4"))
    )


def _recoded(there: MappedColumn, theirs: str, here: Column) -> str:
    """The sink's column with the source's character set and length, empty where that is another type."""
    if theirs == "binary" or not here.charset:
        return ""
    if not there.bytes:
        return definition(here, charset=theirs)
    width = _WIDTHS.get(theirs)
    return definition(here, kind=f"{here.word}({there.bytes // width})", charset=theirs) if width else ""


def plain(charset: str) -> str:
    return "utf8mb3" if charset == "utf8" else charset


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def is_instead_of(here: Column, wanted: str) -> Difference:
    return Difference(f"column {here.name} is {here.type} instead of {wanted}", here, definition(here, kind=wanted))


def definition(here: Column, *, kind: str = "", charset: str = "", nullable: bool = False) -> str:
    """Of the sink's column, with what is given instead of its own."""
    words = [kind or here.type]
    if charset:
        words.append(f"CHARACTER SET {charset}")
    elif here.charset:
        words.append(f"CHARACTER SET {here.charset} COLLATE {here.collation}")
    words.append("NULL" if nullable or here.nullable else "NOT NULL")
    return " ".join(words)
