"""What tables a server has, how they look, and which are tied by foreign keys.

Blocking, on a PyMySQL connection; raises what PyMySQL raises. The server shows only what the connected user has some
privilege on. MariaDB's sequences count as tables: their values travel as rows events.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pymysql.connections import Connection

from common.filter import SYSTEM_SCHEMAS, TableFilter
from common.mysql import Flavour
from common.names import TableName
from common.rawtext import query_bytes, text

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
    """A column as rows events see it. `type` is the full type, such as `decimal(10,2) unsigned`, in lower case."""

    name: str
    type: str
    charset: str
    collation: str
    nullable: bool
    generated: str  # empty, VIRTUAL or STORED
    compressed: bool

    @property
    def stored_type(self) -> str:
        """What two servers must agree on so that one can store the other's bytes."""
        words = [self.type]
        words += [f"character set {self.charset}"] if self.charset else []
        words += ["compressed"] if self.compressed else []
        words += [f"generated {self.generated.lower()}"] if self.generated else []
        return " ".join(words)


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
    for schema in sorted({name.schema for name in wanted}):
        for table, name, kind, charset, collation, nullable, extra in _query(
            connection,
            "SELECT table_name, column_name, column_type, COALESCE(character_set_name, ''), "
            "COALESCE(collation_name, ''), is_nullable, extra "
            "FROM information_schema.columns WHERE table_schema = %s ORDER BY table_name, ordinal_position",
            (schema,),
        ):
            if TableName(schema, table) in wanted:
                found[TableName(schema, table)].append(_column(name, kind, charset, collation, nullable, extra))
    return {name: tuple(listed) for name, listed in found.items()}


def column_counts(connection: Connection[Any], flavour: Flavour, schemas: Iterable[str]) -> dict[TableName, int]:
    """How many columns the tables of these schemas have; tables that may have hidden ones are left out.

    Those are: on MariaDB system-versioned tables and tables with a unique index over long values (HASH), on MySQL
    tables with an index over an expression. Their rows in the binlog have more columns than the catalog shows.
    """
    counts: dict[TableName, int] = {}
    for schema in sorted(set(schemas)):
        hidden = {
            str(name) for (name,) in _query(connection, _HIDING[flavour], (schema,) * _HIDING[flavour].count("%s"))
        }
        for table, count in _query(
            connection,
            "SELECT table_name, COUNT(*) FROM information_schema.columns WHERE table_schema = %s GROUP BY table_name",
            (schema,),
        ):
            if table not in hidden:
                counts[TableName(schema, table)] = int(count)
    return counts


_HIDING: dict[Flavour, str] = {
    "mariadb": "SELECT table_name FROM information_schema.tables"
    " WHERE table_schema = %s AND table_type <> 'BASE TABLE' "
    "UNION SELECT table_name FROM information_schema.statistics WHERE table_schema = %s AND index_type = 'HASH'",
    "mysql": "SELECT table_name FROM information_schema.statistics WHERE table_schema = %s AND expression IS NOT NULL",
}


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
    lower = kind.lower()
    plain = re.sub(r" ?/\*m?!\d* ?compressed\*/$", "", lower)  # MariaDB's mark of a compressed column
    generated = next((word for word in ("VIRTUAL", "STORED") if f"{word} GENERATED" in extra.upper()), "")
    return Column(name, plain, charset, collation, nullable == "YES", generated, plain != lower)


def _query(connection: Connection[Any], statement: str, arguments: tuple[str, ...] = ()) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, arguments or None)
        return [tuple(value.decode() if isinstance(value, bytes) else value for value in row) for row in cursor]
