"""What tables are, as far as a DDL statement can change it: equal before and after means it did nothing, or not yet.

A table is described by SHOW CREATE TABLE and, where the user may see it (privilege PROCESS), by InnoDB's ids of it and
its partitions, which tell apart tables that swapped names. Triggers and routines are not told apart by what a statement
says it touches: `programs` is a digest of all of them, and says that one came or went, not which.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

import pymysql
from pymysql.cursors import Cursor

from common.mysql import Flavour
from common.names import TableName, quoted

_ABSENT = frozenset({1049, 1146, 1051})
_AUTO_INCREMENT = re.compile(r" AUTO_INCREMENT=\d+")
_NEEDS_PROCESS = 1227

_PROGRAMS = (
    "SELECT routine_schema, routine_type, routine_name FROM information_schema.routines"
    " WHERE routine_schema NOT IN ('sys', 'mysql') ORDER BY 1, 2, 3",
    "SELECT trigger_schema, trigger_name FROM information_schema.triggers"
    " WHERE trigger_schema NOT IN ('sys', 'mysql') ORDER BY 1, 2",
)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    tables: dict[str, str | None]  # None: absent
    identified: bool  # with InnoDB's ids
    programs: str = ""

    def __str__(self) -> str:
        return json.dumps(
            {"tables": self.tables, "identified": self.identified, "programs": self.programs}, sort_keys=True
        )

    @classmethod
    def parse(cls, text: str) -> Fingerprint:
        found = json.loads(text)
        return cls(found["tables"], found["identified"], found.get("programs", ""))

    def absent(self, name: TableName) -> bool:
        return self.tables.get(name.key) is None


def fingerprint(cursor: Cursor, flavour: Flavour, names: Iterable[TableName], *, programs: bool = False) -> Fingerprint:
    """Of tables; of a schema with its list of tables, where a name has no table. `programs`: of these too."""
    ids = _ids(cursor, flavour)
    tables: dict[str, str | None] = {}
    for name in sorted(set(names)):
        text = _shown(cursor, name)
        if text is not None and ids is not None:
            text += f" {ids.get(name, [])}"
        tables[name.key] = text
    return Fingerprint(tables, ids is not None, _programs(cursor) if programs else "")


def _shown(cursor: Cursor, name: TableName) -> str | None:
    try:
        cursor.execute(
            f"SHOW CREATE TABLE {name.quoted}" if name.table else f"SHOW CREATE DATABASE {quoted(name.schema)}"
        )
        row = cursor.fetchone()
        text = _AUTO_INCREMENT.sub("", str(row[1])) if row else ""
        if not name.table:
            cursor.execute(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = %s ORDER BY 1", (name.schema,)
            )
            text += json.dumps([found for (found,) in cursor.fetchall()])
    except pymysql.MySQLError as error:
        if error.args[0] in _ABSENT:
            return None
        raise
    return text


def _programs(cursor: Cursor) -> str:
    digest = hashlib.sha256()
    for query in _PROGRAMS:
        cursor.execute(query)
        for row in cursor.fetchall():
            digest.update(repr(row).encode())
    return digest.hexdigest()


def _ids(cursor: Cursor, flavour: Flavour) -> dict[TableName, list[str]] | None:
    """InnoDB's ids, by the file-system encoding of names; None where the user may not see them."""
    view = "innodb_sys_tables" if flavour == "mariadb" else "innodb_tables"
    try:
        cursor.execute(f"SELECT name, table_id FROM information_schema.{view} WHERE name LIKE '%/%'")
    except pymysql.MySQLError as error:
        if error.args[0] == _NEEDS_PROCESS:
            return None
        raise
    found: dict[TableName, list[str]] = {}
    for name, table_id in cursor.fetchall():
        schema, _, rest = str(name).partition("/")
        table, _, part = rest.partition("#")
        found.setdefault(TableName(_decoded(schema), _decoded(table)), []).append(f"{part}:{table_id}")
    return {name: sorted(ids) for name, ids in found.items()}


def _decoded(text: str) -> str:
    """@0024 is a character that file names are spared (MySQL manual, "Mapping of Identifiers to File Names")."""
    return re.sub(r"@([0-9a-f]{4})", lambda match: chr(int(match[1], 16)), text)
