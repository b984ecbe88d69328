"""What the sink is like, as far as a DDL statement can change it, and what was written down of it before.

Shapes are SHOW CREATE of each name: they mean the same on every server. Ids are InnoDB's of a table and its partitions,
which tell apart tables that swapped names; they mean something on one server only, the one that `server` names, and are
there only where the user may see them (privilege PROCESS). Reading them costs as much as the server has tables, so that
only swaps do. Programs are triggers and routines, each by a digest of its definition.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import pymysql
from pymysql.cursors import Cursor

from hedgerow.common.ledger.schema import SCHEMA
from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.mysql.error_codes import NO_PRIVILEGE
from hedgerow.common.mysql.names import TableName, quoted
from hedgerow.common.mysql.rawtext import query_bytes, text

_ABSENT = frozenset({1049, 1146, 1051})
_AUTO_INCREMENT = re.compile(r" AUTO_INCREMENT=\d+")
_FORMER_IDS = re.compile(r" \[(?:'[^']*'(?:, '[^']*')*)?\]\Z")
_IDENTITY = ("server_uuid", "server_uid", "server_id", "hostname", "port")

_PROGRAMS = (
    "SELECT routine_type, routine_schema, routine_name, routine_definition, security_type, sql_data_access,"
    " is_deterministic, routine_comment, sql_mode, definer, dtd_identifier FROM information_schema.routines"
    " WHERE routine_schema NOT IN ('sys', 'mysql')",
    "SELECT 'TRIGGER', trigger_schema, trigger_name, action_statement, event_manipulation, event_object_table,"
    " action_timing, action_order, sql_mode, definer FROM information_schema.triggers"
    " WHERE trigger_schema NOT IN ('sys', 'mysql')",
)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    shapes: Mapping[str, str | None]  # None: absent
    ids: Mapping[str, list[str]] | None = None  # None: nobody looked, or they may not be seen
    server: str = ""
    programs: Mapping[str, str] | None = None  # None: nobody looked

    @classmethod
    def parse(cls, text_: str) -> Fingerprint:
        """Raises ValueError."""
        found: dict[str, Any] = json.loads(text_)
        if "tables" in found:  # written by an earlier version: ids without a server, a digest of all programs
            shapes = {name: shape and _FORMER_IDS.sub("", shape) for name, shape in found["tables"].items()}
            return cls(shapes)
        return cls(found["shapes"], found["ids"], found["server"], found["programs"])

    def absent(self, name: TableName) -> bool:
        return self.shapes.get(name.key) is None

    def __str__(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)


@dataclass(frozen=True, slots=True)
class Program:
    key: str
    name: str
    definition: str = field(repr=False)
    digest: str = ""


def fingerprint(
    cursor: Cursor, flavour: Flavour, names: Iterable[TableName], *, programs: bool = False, ids: bool = False
) -> Fingerprint:
    """Of tables; of a schema with its list of tables, where a name has no table. `programs`, `ids`: of these too."""
    wanted = sorted(set(names))
    shapes = {name.key: _shown(cursor, name) for name in wanted}
    digests = {each.key: each.digest for each in list_programs(cursor)} if programs else None
    found = _ids(cursor, flavour) if ids else None
    if found is None:
        return Fingerprint(shapes, programs=digests)
    mine = {name.key: found.get(name, []) for name in wanted if name.table}
    return Fingerprint(shapes, mine, _server(cursor, found), digests)


def list_programs(cursor: Cursor) -> list[Program]:
    """All triggers and routines."""
    programs = []
    for query in _PROGRAMS:
        for kind, schema, name, definition, *more in query_bytes(cursor, query):
            digest = hashlib.sha256(repr((definition, more)).encode()).hexdigest()
            key = f"{text(kind)} {text(schema)}.{text(name)}"
            programs.append(Program(key, text(name), text(definition), digest))
    return programs


def _shown(cursor: Cursor, name: TableName) -> str | None:
    try:
        rows = query_bytes(
            cursor, f"SHOW CREATE TABLE {name.quoted}" if name.table else f"SHOW CREATE DATABASE {quoted(name.schema)}"
        )
        shown = _AUTO_INCREMENT.sub("", text(rows[0][1])) if rows else ""
        if not name.table:
            cursor.execute(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = %s ORDER BY 1", (name.schema,)
            )
            shown += json.dumps([found for (found,) in cursor.fetchall()])
    except pymysql.MySQLError as error:
        if error.args[0] in _ABSENT:
            return None
        raise
    return shown


def _ids(cursor: Cursor, flavour: Flavour) -> dict[TableName, list[str]] | None:
    """InnoDB's ids, by the file-system encoding of names; None where the user may not see them."""
    view = "innodb_sys_tables" if flavour == "mariadb" else "innodb_tables"
    try:
        cursor.execute(f"SELECT name, table_id FROM information_schema.{view} WHERE name LIKE '%/%'")
    except pymysql.MySQLError as error:
        if error.args[0] == NO_PRIVILEGE:  # PROCESS
            return None
        raise
    found: dict[TableName, list[str]] = {}
    for name, table_id in cursor.fetchall():
        schema, _, rest = str(name).partition("/")
        table, _, part = rest.partition("#")
        found.setdefault(TableName(_decoded(schema), _decoded(table)), []).append(f"{part}:{table_id}")
    return {name: sorted(ids) for name, ids in found.items()}


def _server(cursor: Cursor, ids: Mapping[TableName, list[str]]) -> str:
    """Changes with the server, and with a copy of its data that was loaded from a dump."""
    names = ", ".join(f"'{name}'" for name in _IDENTITY)
    cursor.execute(f"SHOW GLOBAL VARIABLES WHERE variable_name IN ({names})")
    parts = [f"{name}={value}" for name, value in sorted(cursor.fetchall())]
    ours = {name.table: numbers for name, numbers in ids.items() if name.schema == SCHEMA}
    return json.dumps([*parts, sorted(ours.items())])


def _decoded(text_: str) -> str:
    """@0024 is a character that file names are spared (MySQL manual, "Mapping of Identifiers to File Names")."""
    return re.sub(r"@([0-9a-f]{4})", lambda match: chr(int(match[1], 16)), text_)
