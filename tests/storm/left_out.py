"""What the generator never makes, and why. What Hedgerow refuses is refused in words; each has tests of its own."""

from __future__ import annotations

from typing import Final

LEFT_OUT: Final = {
    # Refused or not replicated by design (docs/limits.md).
    "names with a dot": "not replicated: preflight and DDL refuse them",
    "binlog_format other than ROW": "statements instead of rows in the binlog: the changefeed stops",
    "tables without transactions (MyISAM, Aria, MEMORY …)": "preflight and DDL refuse them in the sink",
    "temporary tables, events, accounts, grants": "not replicated",
    "tablespaces, server links, plugins": "each server's own",
    "DEFAULT (UUID()), RAND(), CURRENT_USER() … for rows that exist": "each server would make its own values: refused",
    "AUTO_INCREMENT added to a table without a key": "rows have no order in which to number them: refused",
    "sql_log_bin = 0": "the statement is not in the binlog",
    "MariaDB: tables with system versions by transaction number": "the server logs their changes as statements",
    "MariaDB: sequences under binlog_row_image MINIMAL or NOBLOB": "the server's own replicas fail too (MDEV-37366)",
    # The servers themselves go wrong or refuse by chance of the rows that are there.
    "ALTER IGNORE TABLE": "which of two equal rows stays is chance",
    "ADD UNIQUE on columns with any values": "fails where rows are equal; columns of unique values get such keys",
    "strict ALTER of values that a lenient session stored": "fails by chance of the rows",
    "foreign keys to tables that are not there, checks off": "a later CREATE fails by chance of what it must fit",
    "MariaDB: non-ASCII foreign keys in a session that is not UTF-8": "InnoDB reads their names as UTF-8 (10.11)",
    "MariaDB: ENUM and SET beyond ASCII in a session of cp850": "labels are stored in the client's bytes (10.11)",
    "MariaDB: a slash in the name of a partitioned table": "Unknown database, in ALTER … REORGANIZE PARTITION (10.11)",
    "MariaDB: backticks in the name of a sequence": "NEXTVAL does not find it (10.11)",
    "MariaDB: a schema's character set changed while others use it": "they keep the former one, unlogged",
    "MySQL: CREATE TABLE … SELECT of text without a character set": "it is logged with one, and then shown with it",
    "swe7, and other client character sets that are no ASCII": "the marks of SQL are letters there",
    # Not yet.
    "LOAD DATA, stored procedures that change rows": "rows travel as rows, as of INSERT",
    "MariaDB: system-versioned tables, packages, sql_mode ORACLE": "have tests of their own in tests/integration",
}
