"""A source and a sink that have as little in common as two servers of one flavour may, and what both hold then.

Nothing of this may show in what is replicated: the session of a statement is in its event, and what is not there is
what a replica of the server's own would use. The sink's account has its rights on the replicated schemas only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.accounts import SINK_USER, grants_of
from hedgerow.sandbox.rawrows import quote
from hedgerow.sandbox.servers import Option, Server

_COMMON: tuple[dict[str, Option], dict[str, Option]] = (
    {
        "sql_mode": "",
        "auto_increment_increment": 2,
        "auto_increment_offset": 1,
        "character_set_server": "latin1",
        "collation_server": "latin1_german1_ci",
        "default_time_zone": "-06:00",
        "lc_time_names": "fr_FR",
        "explicit_defaults_for_timestamp": "OFF",
        "innodb_strict_mode": "OFF",
        "max_allowed_packet": "64M",
        "default_week_format": 0,
    },
    {
        "sql_mode": "ANSI_QUOTES,NO_BACKSLASH_ESCAPES,STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE",
        "auto_increment_increment": 7,
        "auto_increment_offset": 5,
        "character_set_server": "utf8mb4",
        "collation_server": "utf8mb4_bin",
        "default_time_zone": "+11:00",
        "lc_time_names": "de_DE",
        "explicit_defaults_for_timestamp": "ON",
        "innodb_strict_mode": "ON",
        "max_allowed_packet": "64M",
        "completion_type": "RELEASE",
        "default_storage_engine": "MyISAM",
        "log_bin_trust_function_creators": "ON",
    },
)
_FLAVOURED: dict[Flavour, dict[str, Option]] = {
    "mariadb": {"alter_algorithm": "INSTANT", "max_statement_time": 30, "innodb_lock_wait_timeout": 1},
    "mysql": {
        "sql_require_primary_key": "ON",
        "sql_generate_invisible_primary_key": "ON",
        "default_collation_for_utf8mb4": "utf8mb4_general_ci",
        "max_execution_time": 30000,
    },
}
_SINCE: dict[str, tuple[int, ...]] = {
    "sql_generate_invisible_primary_key": (8, 0, 30),
    "sql_require_primary_key": (8, 0, 13),
}
_SCHEMA_RIGHTS = frozenset(
    {
        *("SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "INDEX", "REFERENCES", "TRIGGER"),
        *("LOCK TABLES", "CREATE VIEW", "SHOW VIEW", "CREATE ROUTINE", "ALTER ROUTINE", "EXECUTE", "EVENT"),
        "DELETE HISTORY",
    }
)


def unlike(flavour: Flavour, version: tuple[int, ...]) -> tuple[dict[str, Option], dict[str, Option]]:
    """Options of a source and of a sink of this version."""
    source, sink = _COMMON
    # default_collation_for_utf8mb4 cannot be given when a server starts.
    more = {
        name: value
        for name, value in _FLAVOURED[flavour].items()
        if version >= _SINCE.get(name, ()) and name != "default_collation_for_utf8mb4"
    }
    if flavour == "mysql" and version < (8, 4):  # it needs files of messages that an unpacked server has not
        source = {name: value for name, value in source.items() if name != "lc_time_names"}
        sink = {name: value for name, value in sink.items() if name != "lc_time_names"}
    return dict(source), {**sink, **more}


def restrict(sink: Server, *patterns: str) -> None:
    """Take the sink's account all rights on tables but those on the schemas that match (LIKE patterns)."""
    user = f"'{SINK_USER}'@'127.0.0.1'"
    with sink.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_log_bin = 0")
        cursor.execute(f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM {user}")
        rights: list[str] = []
        for grant in grants_of(sink.flavour, sink.program.version, SINK_USER) or ():
            listed, level = grant.rsplit(" ON ", 1)
            kept = listed.split(", ")
            if level == "*.*":
                rights += [right for right in kept if right in _SCHEMA_RIGHTS]
                kept = [right for right in kept if right not in _SCHEMA_RIGHTS]
            if kept:
                cursor.execute(f"GRANT {', '.join(kept)} ON {level} TO {user}")
        for pattern in patterns:
            cursor.execute(f"GRANT {', '.join(rights)} ON `{pattern}`.* TO {user}")


def has_privilege(cursor: Cursor, privilege: str) -> bool:
    cursor.execute("SHOW PRIVILEGES")
    return privilege in {str(row[0]).upper() for row in cursor.fetchall()}


# AUTO_INCREMENT's next value; the usual collation, which MySQL does not name where CREATE TABLE ... SELECT made it; and
# that a schema is not encrypted, which MySQL says since 8.0.16; and display widths, which it says no more since 8.0.19.
_NOISE = re.compile(
    r" AUTO_INCREMENT=\d+|( CHARACTER SET latin1) COLLATE latin1_swedish_ci| /\*!80016 DEFAULT ENCRYPTION='N' \*/"
    r"|(?<=int)\(\d+\)|(?<=year)\(4\)"
)


_UTF8 = re.compile(r"\butf8(?=[_ ])")  # its name before MySQL 8.0.30
_BYTES = re.compile(r"'((?:\\x[0-9a-f]{2})+)'")  # bytes that are no text: MariaDB 11 shows them as x'e9ff'


def _hexadecimal(found: re.Match[str]) -> str:
    return "x'" + found[1].replace("\\x", "") + "'"


def definitions(server: Server, schemas: Sequence[str]) -> dict[str, str]:
    """How the server shows what is in these schemas, by kind and name."""
    with server.connect(use_unicode=False) as connection:
        connection.query("SET SESSION sql_mode = '', time_zone = '+00:00'")
        found: dict[str, str] = {}
        for schema in schemas:
            found |= _definitions(connection, schema)
    return {key: _BYTES.sub(_hexadecimal, _UTF8.sub("utf8mb3", _NOISE.sub(r"\1", text))) for key, text in found.items()}


def _definitions(connection: Connection[Any], schema: str) -> dict[str, str]:
    def ask(statement: str) -> list[tuple[str, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return [tuple(_text(value) for value in row) for row in cursor.fetchall()]

    found: dict[str, str] = {}

    def show(kind: str, name: str, statement: str) -> None:
        try:
            # Not: when a trigger was made, which is the sink's own clock.
            found[f"{kind} {name}"] = " | ".join(ask(statement)[0][:6])
        except pymysql.MySQLError as error:
            found[f"{kind} {name}"] = f"error {error.args[0]}"

    show("schema", schema, f"SHOW CREATE DATABASE {quote(schema)}")
    where = "WHERE {} = '" + schema + "'"
    for (name,) in ask(f"SELECT table_name FROM information_schema.tables {where.format('table_schema')}"):
        show("table", name, f"SHOW CREATE TABLE {quote(schema)}.{quote(name)}")
    for (name,) in ask(f"SELECT trigger_name FROM information_schema.triggers {where.format('trigger_schema')}"):
        show("trigger", name, f"SHOW CREATE TRIGGER {quote(schema)}.{quote(name)}")
    routines = f"SELECT routine_name, routine_type FROM information_schema.routines {where.format('routine_schema')}"
    for name, kind in ask(routines):
        show(kind.lower(), name, f"SHOW CREATE {kind} {quote(schema)}.{quote(name)}")
    parts = (
        "SELECT table_name, partition_name, partition_description FROM information_schema.partitions"
        f" {where.format('table_schema')} AND partition_name IS NOT NULL"
    )
    for table, name, description in ask(parts):
        found[f"partition {table}.{name}"] = description
    return found


def _text(value: Any) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
