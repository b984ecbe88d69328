"""Tells from a statement's text which tables it touches: what the DDL barrier and the filter need, and no more.

A statement that is not understood is UNKNOWN with scope EVERYTHING: it is never executed. Pure.
"""

from __future__ import annotations

import dataclasses
from typing import Final

from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.mysql.names import TableName
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.ddl.alter import alter_table
from hedgerow.dispatcher.ddl.lexer import Token, UnreadableStatement, tokens
from hedgerow.dispatcher.ddl.model import Classified, DdlKind, Edit, edited
from hedgerow.dispatcher.ddl.scan import Scan, Unclear
from hedgerow.dispatcher.ddl.setstatement import set_statement
from hedgerow.dispatcher.ddl.tables import create_table, drop_table, rename_table

_MODIFIERS: Final = (
    *("TEMPORARY", "IGNORE", "ONLINE", "OFFLINE", "AGGREGATE", "UNIQUE", "FULLTEXT", "SPATIAL", "VECTOR"),
    *("MATERIALIZED", "JSON", "RELATIONAL", "DUALITY", "UNDO", "PUBLIC"),
)
_ROUTINES: Final = frozenset({"PROCEDURE", "FUNCTION", "PACKAGE", "LIBRARY"})
_DATABASE_OPTIONS: Final = ("CHARACTER", "CHARSET", "COLLATE", "COMMENT", "DEFAULT", "ENCRYPTION", "READ")
_DML: Final = frozenset(
    ("INSERT", "REPLACE", "UPDATE", "DELETE", "LOAD", "SELECT", "WITH", "CALL", "DO", "TABLE", "VALUES", "IMPORT")
)
_TRANSACTION: Final = frozenset({"BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "XA"})
_MAINTENANCE: Final = frozenset({"ANALYZE", "OPTIMIZE", "REPAIR", "CHECK", "CHECKSUM", "FLUSH", "CACHE", "RESET"})
_SERVER: Final = frozenset({"TABLESPACE", "LOGFILE", "SERVER", "RESOURCE", "INSTANCE", "REFERENCE"})

NOT_ACCOUNTS: Final = "accounts, roles and their grants are not replicated: each server keeps its own"
NOT_ROWS: Final = (
    "the binlog holds a statement instead of the rows it changed, because some session of the source has "
    "binlog_format=STATEMENT or MIXED: find it, and set binlog_format=ROW there"
)
NOT_EVENTS: Final = "scheduled events are not replicated: they would run on both servers"
NOT_MAINTENANCE: Final = "it changes no rows: statistics, caches and storage are each server's own"
NOT_SERVER: Final = (
    "tablespaces, plugins, loadable functions, server links and spatial reference systems are each server's own"
)
# Measured with binlog_format=ROW: neither MySQL 9.7 nor MariaDB 10.11 logs what is done to temporary tables, and CREATE
# TABLE ... LIKE a temporary one is logged written out. A session that has changed its format may log DROP TEMPORARY.
NOT_TEMPORARY: Final = "temporary tables belong to one session, and their rows are not in a row-format binlog"


def classify(
    statement: str,
    default_schema: str,
    flavour: Flavour,
    *,
    sql_mode: int = 0,
    lower_names: bool = False,
    nbsp: bool = False,
) -> Classified:
    """Classify a statement that ran with this default schema (empty: none) and these sql_mode bits.

    `lower_names`: the source has lower_case_table_names=1, so that names mean their lower-case forms. `nbsp`: as for
    the lexer. Never raises.
    """
    try:
        found = list(tokens(statement, flavour, sql_mode, nbsp=nbsp))
    except UnreadableStatement as error:
        return _unknown(statement, str(error))
    while found and _ends(found[-1]):
        found.pop()
    if not found:
        return Classified(DdlKind.EMPTY, statement=statement, ignorable=True, reason="it holds no statement")
    scan = Scan(found, default_schema, lower_names)
    try:
        edits = set_statement(scan)
        result = _statement(found[scan.at], scan)
    except Unclear as error:
        return _unknown(statement, str(error))
    if result.kind not in (DdlKind.TRIGGER, DdlKind.ROUTINE, DdlKind.EVENT) and any(map(_ends, found)):
        return _unknown(statement, "it holds more than one statement")
    edits += result.edits
    return dataclasses.replace(result, statement=edited(statement, edits), edits=edits)


def _ends(token: Token) -> bool:
    return token.kind == "symbol" and token.value == ";"


def _unknown(statement: str, reason: str) -> Classified:
    return Classified(DdlKind.UNKNOWN, pb.EVERYTHING, reason=f"it is not understood: {reason}", statement=statement)


def _ignored(kind: DdlKind, reason: str) -> Classified:
    return Classified(kind, ignorable=True, reason=reason)


def _statement(first: Token, scan: Scan) -> Classified:
    verb = first.value if first.kind == "word" else ""
    if verb in ("CREATE", "ALTER", "DROP"):
        scan.skip()
        return _definition(verb, scan)
    if scan.takes("RENAME"):
        if scan.takes_any("TABLE", "TABLES"):
            return rename_table(scan)
        if scan.takes("USER"):
            return _ignored(DdlKind.ACCOUNT, NOT_ACCOUNTS)
    elif scan.takes("TRUNCATE"):
        scan.takes("TABLE")
        name = scan.name()
        scan.skip_wait()
        scan.expect_end()
        return Classified(DdlKind.TABLE, touches=(name,), changes=(name,))
    elif verb in _MAINTENANCE or scan.takes("LOAD", "INDEX", "INTO", "CACHE"):
        return _ignored(DdlKind.MAINTENANCE, NOT_MAINTENANCE)
    elif verb in ("GRANT", "REVOKE") or scan.takes("SET", "PASSWORD") or scan.takes("SET", "DEFAULT", "ROLE"):
        return _ignored(DdlKind.ACCOUNT, NOT_ACCOUNTS)
    elif verb in ("INSTALL", "UNINSTALL"):
        return _ignored(DdlKind.SERVER, NOT_SERVER)
    elif verb in _TRANSACTION or scan.takes("START", "TRANSACTION"):
        return Classified(DdlKind.TRANSACTION)
    elif verb in _DML or scan.looks_at("("):
        return Classified(DdlKind.DML, pb.EVERYTHING, reason=NOT_ROWS)
    raise Unclear(f"it begins with {first.text[:40]!r}")


def _definition(verb: str, scan: Scan) -> Classified:
    """CREATE, ALTER or DROP, with the cursor after that word."""
    modifiers = _skip_modifiers(scan)
    thing = scan.identifier().upper()
    if "TEMPORARY" in modifiers:
        if thing in ("TABLE", "TABLES", "SEQUENCE"):
            return _ignored(DdlKind.TEMPORARY, NOT_TEMPORARY)
        raise Unclear(f"temporary {thing}")
    if thing in ("TABLE", "TABLES"):
        if verb == "ALTER":
            return alter_table(scan, ignoring="IGNORE" in modifiers)
        return create_table(scan) if verb == "CREATE" else drop_table(scan)
    if thing in ("DATABASE", "SCHEMA"):
        return _database(verb, scan, replacing="OR" in modifiers)
    if thing in ("SEQUENCE", "VIEW"):
        return _like_tables(verb, thing, scan)
    if thing == "INDEX":
        scan.find("ON")
        name = scan.name()
        return Classified(DdlKind.INDEX, touches=(name,), changes=(name,))
    if thing == "TRIGGER":
        return _trigger(verb, scan)
    if thing in _ROUTINES:
        return _routine(verb, scan)
    if thing == "EVENT":
        return _ignored(DdlKind.EVENT, NOT_EVENTS)
    if thing in ("USER", "ROLE"):
        return _ignored(DdlKind.ACCOUNT, NOT_ACCOUNTS)
    if thing in _SERVER:
        return _ignored(DdlKind.SERVER, NOT_SERVER)
    raise Unclear(f"{verb} {thing[:40]}")


def _skip_modifiers(scan: Scan) -> set[str]:
    """Move to the word that says what is defined; the first words of what was before it."""
    found: set[str] = set()
    while True:
        found.add(scan.tokens[scan.at].value if not scan.done else "")
        if scan.takes("OR", "REPLACE") or scan.takes_any(*_MODIFIERS):
            continue
        if scan.takes("ALGORITHM", "=") or scan.takes("SQL", "SECURITY"):
            scan.skip()
        elif scan.takes("DEFINER", "="):
            scan.skip()
            if scan.takes("@"):
                scan.skip()
                while scan.takes("."):  # a host without quotes
                    scan.skip()
            elif scan.takes("("):
                scan.expect(")")
        else:
            return found


def _like_tables(verb: str, thing: str, scan: Scan) -> Classified:
    """Sequences and views: they share the names of tables. A sequence has rows, so it has a dispatcher."""
    edits: tuple[Edit, ...] = ()
    if verb == "DROP":
        edits = scan.if_exists()
    else:
        scan.skip_existence()
    names = scan.names() if verb == "DROP" else (scan.name(),)
    if thing == "VIEW":
        return Classified(DdlKind.VIEW, touches=names, changes=names, edits=edits)
    creates, drops = (names if verb == "CREATE" else ()), (names if verb == "DROP" else ())
    return Classified(DdlKind.SEQUENCE, touches=names, creates=creates, drops=drops, changes=names, edits=edits)


def _database(verb: str, scan: Scan, *, replacing: bool) -> Classified:
    scan.skip_existence()
    # Most options are legal names: after a name comes an option, after an option its value.
    nameless = verb == "ALTER" and scan.looks_at(*_DATABASE_OPTIONS) and not scan.looks_at(*_DATABASE_OPTIONS, ahead=1)
    nameless = nameless or (verb == "ALTER" and scan.looks_at("CHARACTER", "COLLATE", "DEFAULT", "READ"))
    whole = (TableName(scan.default_schema() if nameless else scan.schema(), ""),)
    if scan.takes("UPGRADE"):
        raise Unclear("ALTER DATABASE ... UPGRADE DATA DIRECTORY NAME")
    drops = whole if verb == "DROP" or replacing else ()
    return Classified(DdlKind.SCHEMA, pb.SCHEMA, touches=whole, drops=drops, changes=whole)


def _trigger(verb: str, scan: Scan) -> Classified:
    """A trigger's table is not in DROP TRIGGER. No flush is due: rows that are applied raw fire no triggers."""
    if verb == "DROP":
        edits = scan.if_exists()
        return Classified(DdlKind.TRIGGER, changes=(TableName(scan.name().schema, ""),), edits=edits)
    if verb != "CREATE":
        raise Unclear(f"{verb} TRIGGER")
    scan.skip_existence()
    schema = scan.name().schema
    scan.find("ON")
    name = scan.name(schema)  # the servers look for a table without a schema in that of its trigger
    return Classified(DdlKind.TRIGGER, touches=(name,), changes=(name,))


def _routine(verb: str, scan: Scan) -> Classified:
    scan.takes("BODY")
    edits: tuple[Edit, ...] = ()
    if verb == "DROP":
        edits = scan.if_exists()
    else:
        scan.skip_existence()
    first = scan.identifier()
    if scan.takes("RETURNS"):  # CREATE FUNCTION name RETURNS type SONAME 'library': a loadable function
        scan.skip()
        if scan.looks_at("SONAME"):
            return _ignored(DdlKind.SERVER, NOT_SERVER)
        raise Unclear(f"function {first[:40]}")
    if verb == "DROP" and scan.done and not scan.has_default_schema:
        return _ignored(DdlKind.SERVER, NOT_SERVER)  # a stored one has a schema
    scan.at -= 1
    return Classified(DdlKind.ROUTINE, changes=(TableName(scan.name().schema, ""),), edits=edits)
