"""Tells from a statement's text which tables it touches: what the DDL barrier and the filter need, and no more.

A statement that is not understood is UNKNOWN with scope EVERYTHING: a barrier over all tables, never a guess. Pure.
"""

from __future__ import annotations

from typing import Final

from common.mysql import Flavour
from common.names import TableName
from common.pb.v1 import model_pb2 as pb
from dispatcher.ddl.lexer import Token, Unreadable, tokens
from dispatcher.ddl.model import Classified, Kind
from dispatcher.ddl.scan import Scan, Unclear
from dispatcher.ddl.tables import create_table, drop_table, rename_table, scan_alter

_MODIFIERS: Final = (
    *("AGGREGATE", "UNIQUE", "FULLTEXT", "SPATIAL", "VECTOR", "ONLINE", "OFFLINE", "IGNORE"),
    *("JSON", "RELATIONAL", "DUALITY", "UNDO", "PUBLIC"),
)
_ROUTINES: Final = frozenset({"PROCEDURE", "FUNCTION", "PACKAGE", "LIBRARY"})
_DATABASE_OPTIONS: Final = ("CHARACTER", "CHARSET", "COLLATE", "COMMENT", "DEFAULT", "ENCRYPTION", "READ")
_DML: Final = frozenset(
    ("INSERT", "REPLACE", "UPDATE", "DELETE", "LOAD", "SELECT", "WITH", "CALL", "DO", "TABLE", "VALUES", "IMPORT")
)
_TRANSACTION: Final = frozenset({"BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "XA"})
_MAINTENANCE: Final = frozenset({"ANALYZE", "OPTIMIZE", "REPAIR", "CHECK", "CHECKSUM", "FLUSH", "CACHE", "RESET"})
_SERVER: Final = frozenset({"TABLESPACE", "LOGFILE", "SERVER", "RESOURCE", "INSTANCE"})

NOT_ACCOUNTS: Final = "accounts, roles and their grants are not replicated: each server keeps its own"
NOT_ROWS: Final = (
    "the binlog holds a statement instead of the rows it changed, because some session of the source has "
    "binlog_format=STATEMENT or MIXED: find it, and set binlog_format=ROW there"
)
NOT_EVENTS: Final = "scheduled events are not replicated: they would run on both servers"
NOT_MAINTENANCE: Final = "it changes no rows: statistics, caches and storage are each server's own"
NOT_SERVER: Final = "tablespaces, plugins, loadable functions and server links are each server's own"
# Measured with binlog_format=ROW: neither MySQL 9.7 nor MariaDB 10.11 logs what is done to temporary tables, and CREATE
# TABLE ... LIKE a temporary one is logged written out. A session that has changed its format may log DROP TEMPORARY.
NOT_TEMPORARY: Final = "temporary tables belong to one session, and their rows are not in a row-format binlog"


def classify(
    statement: str, default_schema: str, flavour: Flavour, *, sql_mode: int = 0, lower_names: bool = False
) -> Classified:
    """Classify a statement that ran with this default schema (empty: none) and these sql_mode bits.

    `lower_names`: the source has lower_case_table_names=1, so that names mean their lower-case forms. Never raises.
    """
    try:
        found = list(tokens(statement, flavour, sql_mode))
    except Unreadable as error:
        return _unknown(statement, str(error))
    while found and found[-1].value == ";":
        found.pop()
    if not found:
        return Classified(Kind.EMPTY, statement, ignorable=True, reason="it holds no statement")
    try:
        result = _statement(statement, found, Scan(found, default_schema, lower_names))
    except Unclear as error:
        return _unknown(statement, str(error))
    if result.kind not in (Kind.TRIGGER, Kind.ROUTINE, Kind.EVENT) and any(t.value == ";" for t in found):
        return _unknown(statement, "it holds more than one statement")
    return result


def _unknown(statement: str, reason: str) -> Classified:
    return Classified(Kind.UNKNOWN, statement, pb.EVERYTHING, reason=f"it is not understood: {reason}")


def _ignored(kind: Kind, statement: str, reason: str) -> Classified:
    return Classified(kind, statement, ignorable=True, reason=reason)


def _statement(statement: str, found: list[Token], scan: Scan) -> Classified:
    verb = found[0].value if found[0].kind == "word" else ""
    if verb in ("CREATE", "ALTER", "DROP"):
        scan.skip()
        return _definition(verb, statement, scan)
    if scan.takes("RENAME"):
        if scan.takes_any("TABLE", "TABLES"):
            return rename_table(statement, scan)
        if scan.takes("USER"):
            return _ignored(Kind.ACCOUNT, statement, NOT_ACCOUNTS)
    elif scan.takes("TRUNCATE"):
        scan.takes("TABLE")
        name = scan.name()
        scan.skip_wait()
        _expect_end(scan)
        return Classified(Kind.TABLE, statement, touches=(name,), changes=(name,))
    elif verb in _MAINTENANCE:
        return _ignored(Kind.MAINTENANCE, statement, NOT_MAINTENANCE)
    elif verb in ("GRANT", "REVOKE") or scan.takes("SET", "PASSWORD") or scan.takes("SET", "DEFAULT", "ROLE"):
        return _ignored(Kind.ACCOUNT, statement, NOT_ACCOUNTS)
    elif verb in ("INSTALL", "UNINSTALL"):
        return _ignored(Kind.SERVER, statement, NOT_SERVER)
    elif verb in _TRANSACTION or scan.takes("START", "TRANSACTION"):
        return Classified(Kind.TRANSACTION, statement)
    elif verb in _DML or scan.looks_at("("):
        return Classified(Kind.DML, statement, pb.EVERYTHING, reason=NOT_ROWS)
    raise Unclear(f"it begins with {found[0].text[:40]!r}")


def _definition(verb: str, statement: str, scan: Scan) -> Classified:
    """CREATE, ALTER or DROP, with the cursor behind that word."""
    temporary = _skip_modifiers(scan)
    thing = scan.identifier().upper()
    if temporary:
        if thing in ("TABLE", "TABLES", "SEQUENCE"):
            return _ignored(Kind.TEMPORARY, statement, NOT_TEMPORARY)
        raise Unclear(f"temporary {thing}")
    if thing in ("TABLE", "TABLES"):
        reader = {"CREATE": create_table, "ALTER": scan_alter, "DROP": drop_table}[verb]
        return reader(statement, scan)
    if thing in ("DATABASE", "SCHEMA"):
        return _database(verb, statement, scan)
    if thing == "SEQUENCE":
        scan.takes("IF", "EXISTS") or scan.takes("IF", "NOT", "EXISTS")
        names = scan.names() if verb == "DROP" else (scan.name(),)
        creates, drops = (names if verb == "CREATE" else ()), (names if verb == "DROP" else ())
        return Classified(Kind.SEQUENCE, statement, touches=names, creates=creates, drops=drops, changes=names)
    if thing == "INDEX":
        scan.find("ON")
        name = scan.name()
        return Classified(Kind.INDEX, statement, touches=(name,), changes=(name,))
    if thing == "VIEW":
        scan.takes("IF", "EXISTS") or scan.takes("IF", "NOT", "EXISTS")
        names = scan.names() if verb == "DROP" else (scan.name(),)
        return Classified(Kind.VIEW, statement, touches=names, changes=names)
    if thing == "TRIGGER":
        return _trigger(verb, statement, scan)
    if thing in _ROUTINES:
        return _routine(statement, scan)
    if thing == "EVENT":
        return _ignored(Kind.EVENT, statement, NOT_EVENTS)
    if thing in ("USER", "ROLE"):
        return _ignored(Kind.ACCOUNT, statement, NOT_ACCOUNTS)
    if thing in _SERVER:
        return _ignored(Kind.SERVER, statement, NOT_SERVER)
    raise Unclear(f"{verb} {thing[:40]}")


def _skip_modifiers(scan: Scan) -> bool:
    """Move to the word that says what is defined; whether TEMPORARY was among the words before it."""
    temporary = False
    while True:
        if scan.takes("OR", "REPLACE") or scan.takes_any(*_MODIFIERS):
            continue
        if scan.takes("TEMPORARY"):
            temporary = True
        elif scan.takes("ALGORITHM", "=") or scan.takes("SQL", "SECURITY"):
            scan.skip()
        elif scan.takes("DEFINER", "="):
            scan.skip()
            if scan.takes("@"):
                scan.skip()
            elif scan.takes("("):
                scan.expect(")")
        else:
            return temporary


def _database(verb: str, statement: str, scan: Scan) -> Classified:
    scan.takes("IF", "EXISTS") or scan.takes("IF", "NOT", "EXISTS")
    nameless = verb == "ALTER" and scan.looks_at(*_DATABASE_OPTIONS)
    whole = (TableName(scan.default_schema() if nameless else scan.schema(), ""),)
    drops = whole if verb == "DROP" else ()
    return Classified(Kind.SCHEMA, statement, pb.SCHEMA, touches=whole, drops=drops, changes=whole)


def _trigger(verb: str, statement: str, scan: Scan) -> Classified:
    """A trigger's table is not in DROP TRIGGER. No flush is due: rows that are applied raw fire no triggers."""
    scan.takes("IF", "EXISTS") or scan.takes("IF", "NOT", "EXISTS")
    name = scan.name()
    if verb == "DROP":
        return Classified(Kind.TRIGGER, statement, changes=(TableName(name.schema, ""),))
    if verb != "CREATE":
        raise Unclear(f"{verb} TRIGGER")
    scan.find("ON")
    name = scan.name()
    return Classified(Kind.TRIGGER, statement, touches=(name,), changes=(name,))


def _routine(statement: str, scan: Scan) -> Classified:
    scan.takes("BODY")
    scan.takes("IF", "EXISTS") or scan.takes("IF", "NOT", "EXISTS")
    first = scan.identifier()
    if scan.takes("RETURNS"):  # CREATE FUNCTION name RETURNS type SONAME 'library': a loadable function
        scan.skip()
        if scan.looks_at("SONAME"):
            return _ignored(Kind.SERVER, statement, NOT_SERVER)
        raise Unclear(f"function {first[:40]}")
    scan.at -= 1
    return Classified(Kind.ROUTINE, statement, changes=(TableName(scan.name().schema, ""),))


def _expect_end(scan: Scan) -> None:
    if not scan.done:
        raise Unclear(f"{scan.tokens[scan.at].text[:40]!r} was not expected")
