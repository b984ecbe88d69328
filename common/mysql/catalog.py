"""What tables a server has, how they look, and which are tied by foreign keys.

Blocking, on a PyMySQL connection; raises what PyMySQL raises. The server shows only what the connected user has some
privilege on. MariaDB's sequences count as tables: their values travel as rows events.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from pymysql.connections import Connection

from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.mysql.filter import SYSTEM_SCHEMAS, TableFilter
from hedgerow.common.mysql.names import TableName
from hedgerow.common.mysql.rawtext import query_bytes, text

_NUMERIC = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double"})
_LONG = frozenset({"json", "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring"}) | {
    *("multipolygon", "geometrycollection"),
}
_OPAQUE = frozenset({"uuid", "inet4", "inet6", "json", "vector"})
_ESCAPES = {"''": "'", "\\\\": "\\", "\\n": "\n", "\\r": "\r", "\\0": "\0"}  # of both servers, in a column's type
_ESCAPED = re.compile("|".join(map(re.escape, _ESCAPES)))
_FEW = 100  # tables that are asked for by name
_QUOTED = re.compile(r"'(?:[^']|'')*'")
_CASCADING = frozenset({"CASCADE", "SET NULL", "SET DEFAULT"})
_NOT_SYSTEM = "NOT IN (" + ", ".join(f"'{schema}'" for schema in sorted(SYSTEM_SCHEMAS)) + ")"


@dataclass(frozen=True, slots=True)
class Table:
    """A base table, system-versioned table or sequence. `engine` as the server writes it."""

    name: TableName
    kind: str
    engine: str


@dataclass(frozen=True, slots=True)
class Column:
    """A column as rows events see it. `type` is the full type, such as `decimal(10,2) unsigned`, in lower case but for
    the members of ENUM and SET."""

    name: str
    type: str
    charset: str
    collation: str
    nullable: bool
    generated: str  # empty, VIRTUAL or STORED
    compressed: bool
    in_key: bool = field(default=False, compare=False)  # of the primary key, or of the UNIQUE key that stands for it
    counts: bool = field(default=False, compare=False)  # AUTO_INCREMENT

    @property
    def stored_type(self) -> str:
        """What two servers must agree on so that one can store the other's bytes."""
        words = [self.type]
        words += [f"character set {self.charset}"] if self.charset else []
        words += ["compressed"] if self.compressed else []
        words += [f"generated {self.generated.lower()}"] if self.generated else []
        return " ".join(words)

    @property
    def members(self) -> tuple[str, ...] | None:
        """Of ENUM and SET, in their order."""
        if not self.type.startswith(("enum(", "set(")):
            return None
        quoted_members = _QUOTED.findall(self.type)
        return tuple(_ESCAPED.sub(lambda escaped: _ESCAPES[escaped[0]], member[1:-1]) for member in quoted_members)

    @property
    def word(self) -> str:
        """The type without its length and attributes."""
        return self.type.partition(" ")[0].partition("(")[0]

    @property
    def is_blob(self) -> bool:
        """Of a type that binlog_row_image = NOBLOB leaves out."""
        return self.word.endswith(("blob", "text")) or self.word in _LONG

    @property
    def is_numeric(self) -> bool:
        return self.word in _NUMERIC

    @property
    def unsigned(self) -> bool:
        return " unsigned" in self.type or " zerofill" in self.type

    @property
    def is_opaque(self) -> bool:
        """Of a type whose bytes are a format of its own, though the binlog calls it a string."""
        return self.word in _OPAQUE


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """`cascades`: deleting or updating a parent row may change child rows without a trace in the binlog.

    The rules are CASCADE, SET NULL, SET DEFAULT or RESTRICT, which stands for NO ACTION too: InnoDB has no other.
    """

    name: str
    child: TableName
    parent: TableName
    on_update: str
    on_delete: str

    @property
    def cascades(self) -> bool:
        return self.on_update in _CASCADING or self.on_delete in _CASCADING


def user_tables(connection: Connection[Any], table_filter: TableFilter) -> list[Table]:
    """The tables that match, in the order of their names."""
    rows = _query(
        connection,
        "SELECT table_schema, table_name, table_type, COALESCE(engine, '') FROM information_schema.tables "
        f"WHERE table_type IN ('BASE TABLE', 'SYSTEM VERSIONED', 'SEQUENCE') AND table_schema {_NOT_SYSTEM}",
    )
    tables = (Table(TableName(schema, name), kind, engine) for schema, name, kind, engine in rows)
    return sorted((table for table in tables if table_filter.matches(*table.name)), key=lambda table: table.name)


def schema_names(connection: Connection[Any]) -> list[str]:
    return [name for (name,) in _query(connection, "SELECT schema_name FROM information_schema.schemata")]


def table_exists(connection: Connection[Any], table: TableName) -> bool:
    return bool(
        _query(
            connection,
            "SELECT 1 FROM information_schema.tables WHERE table_schema = %s AND table_name = %s",
            tuple(table),
        )
    )


def columns(connection: Connection[Any], tables: Iterable[TableName]) -> dict[TableName, tuple[Column, ...]]:
    """The columns of these tables, in the order of their positions; tables that are not there are left out."""
    wanted = set(tables)
    found: dict[TableName, list[Column]] = defaultdict(list)
    for schema, names, few in _by_schema(wanted):
        for table, name, kind, charset, collation, nullable, extra, in_key in _query(
            connection,
            "SELECT table_name, column_name, column_type, COALESCE(character_set_name, ''), "
            "COALESCE(collation_name, ''), is_nullable, extra, column_key "
            f"FROM information_schema.columns WHERE table_schema = %s{few} ORDER BY table_name, ordinal_position",
            (schema, *names),
        ):
            if TableName(schema, table) in wanted:
                column = _column(name, kind, charset, collation, nullable, extra)
                counts = "auto_increment" in extra.lower()
                found[TableName(schema, table)].append(replace(column, in_key=in_key == "PRI", counts=counts))
    return {name: tuple(listed) for name, listed in found.items()}


def nullable_uniques(connection: Connection[Any], tables: Iterable[TableName]) -> dict[TableName, list[frozenset[str]]]:
    """Of these tables the columns of every UNIQUE key that may hold NULL."""
    wanted = set(tables)
    keys: dict[tuple[TableName, str], set[str]] = defaultdict(set)
    nullable: set[tuple[TableName, str]] = set()
    for schema, names, few in _by_schema(wanted):
        for table, key, column, may_be_null in _query(
            connection,
            "SELECT table_name, index_name, column_name, nullable FROM information_schema.statistics"
            f" WHERE table_schema = %s{few} AND non_unique = 0",
            (schema, *names),
        ):
            found = (TableName(schema, table), key)
            keys[found].add(column)
            if may_be_null == "YES":
                nullable.add(found)
    listed: dict[TableName, list[frozenset[str]]] = defaultdict(list)
    for found in sorted(nullable):
        if found[0] in wanted:
            listed[found[0]].append(frozenset(keys[found]))
    return listed


def _by_schema(tables: Collection[TableName]) -> Iterator[tuple[str, list[str], str]]:
    """Each schema, with names to ask for and the condition that does; all of its tables where they are many."""
    for schema in sorted({name.schema for name in tables}):
        names = [name.table for name in tables if name.schema == schema]
        if len(names) <= _FEW:
            yield schema, names, f" AND table_name IN ({', '.join(['%s'] * len(names))})"
        else:
            yield schema, [], ""


def tables_with_hidden_columns(connection: Connection[Any], flavour: Flavour, schemas: Iterable[str]) -> set[TableName]:
    """Tables of these schemas whose rows in the binlog may have more columns than the catalog shows.

    Those are: on MariaDB system-versioned tables and tables with a unique index over long values (HASH), on MySQL
    tables with an index over an expression.
    """
    statement = _HIDING[flavour]
    return {
        TableName(schema, str(name))
        for schema in sorted(set(schemas))
        for (name,) in _query(connection, statement, (schema,) * statement.count("%s"))
    }


_HIDING: dict[Flavour, str] = {
    "mariadb": "SELECT table_name FROM information_schema.tables"
    " WHERE table_schema = %s AND table_type <> 'BASE TABLE' "
    "UNION SELECT table_name FROM information_schema.statistics WHERE table_schema = %s AND index_type = 'HASH'",
    "mysql": "SELECT table_name FROM information_schema.statistics WHERE table_schema = %s AND expression IS NOT NULL",
}


def show_hidden_keys(connection: Connection[Any], flavour: Flavour) -> None:
    """Lets the session see MySQL's generated invisible primary keys, which rows events have (MySQL 8.0.30)."""
    if flavour == "mysql" and _query(
        connection, "SHOW VARIABLES LIKE 'show_gipk_in_create_table_and_information_schema'"
    ):
        connection.query("SET SESSION show_gipk_in_create_table_and_information_schema = ON")


def charsets_by_collation(connection: Connection[Any]) -> dict[int, str]:
    """Names of character sets by the ids of their collations, as table maps have them."""
    found = dict(
        _query(
            connection,
            "SELECT id, character_set_name FROM information_schema.collations"
            " WHERE id IS NOT NULL AND character_set_name IS NOT NULL",
        )
    )
    with_ids = _query(
        connection,
        "SELECT 1 FROM information_schema.columns WHERE table_schema = 'information_schema'"
        " AND table_name = 'COLLATION_CHARACTER_SET_APPLICABILITY' AND column_name = 'ID'",
    )
    if with_ids:  # MariaDB: those that exist for several character sets have an id for each
        found |= dict(
            _query(
                connection,
                "SELECT id, character_set_name FROM information_schema.collation_character_set_applicability"
                " WHERE id IS NOT NULL",
            )
        )
    return {int(number): "utf8mb3" if name == "utf8" else str(name) for number, name in found.items()}


def foreign_key_edges(connection: Connection[Any]) -> list[tuple[TableName, TableName]]:
    """(child, parent) of every foreign key between user tables, each pair once: tables that must share a lane."""
    return sorted({(child, parent) for _, child, parent in _references(connection)})


def foreign_keys(connection: Connection[Any]) -> list[ForeignKey]:
    """Every foreign key between user tables, with its rules."""
    references = _references(connection)
    definitions = {child: _show_create(connection, child) for child in {child for _, child, _ in references}}
    return [ForeignKey(name, child, parent, *_rules(definitions[child], name)) for name, child, parent in references]


def _references(connection: Connection[Any]) -> list[tuple[str, TableName, TableName]]:
    """(name, child, parent). With SELECT as the only privilege, this is the one view that shows foreign keys:
    referential_constraints and table_constraints then look empty."""
    rows = _query(
        connection,
        "SELECT DISTINCT constraint_name, table_schema, table_name, referenced_table_schema, referenced_table_name "
        "FROM information_schema.key_column_usage "
        f"WHERE referenced_table_name IS NOT NULL AND table_schema {_NOT_SYSTEM} "
        "ORDER BY table_schema, table_name, constraint_name",
    )
    return [(name, TableName(*names[:2]), TableName(*names[2:])) for name, *names in rows]


def _show_create(connection: Connection[Any], table: TableName) -> str:
    with connection.cursor() as cursor:
        return text(query_bytes(cursor, f"SHOW CREATE TABLE {table.quoted}")[0][1])


def _rules(definition: str, name: str) -> tuple[str, str]:
    """(on update, on delete) of a foreign key in SHOW CREATE TABLE, which leaves out what is the default."""
    names = "|".join(re.escape(q + name.replace(q, q * 2) + q) for q in '`"')
    line = re.search(rf"CONSTRAINT (?:{names}) FOREIGN KEY .*", definition)
    found = dict(re.findall(r" ON (UPDATE|DELETE) (CASCADE|SET NULL|SET DEFAULT)", line[0] if line else ""))
    return found.get("UPDATE", "RESTRICT"), found.get("DELETE", "RESTRICT")


def _column(name: str, kind: str, charset: str, collation: str, nullable: str, extra: str) -> Column:
    lower = re.sub(r"'(?:[^']|'')*'|[^']+", lambda part: part[0] if part[0][0] == "'" else part[0].lower(), kind)
    plain = re.sub(r" ?/\*m?!\d* ?compressed\*/$", "", lower)  # MariaDB's mark of a compressed column
    generated = next((word for word in ("VIRTUAL", "STORED") if f"{word} GENERATED" in extra.upper()), "")
    return Column(name, plain, charset, collation, nullable == "YES", generated, plain != lower)


def _query(connection: Connection[Any], statement: str, arguments: tuple[str, ...] = ()) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, arguments or None)
        return [tuple(value.decode() if isinstance(value, bytes) else value for value in row) for row in cursor]
