"""What schema `hedgerow` in the sink is made of: a table for each module of this package that is named like it."""

from __future__ import annotations

import pymysql
from pymysql.connections import Connection
from pymysql.constants import ER
from pymysql.cursors import Cursor

SCHEMA = "hedgerow"
SCHEMA_DISPATCHER = "*"  # the key of the dispatcher that executes DDL
# Marks DDL that a changefeed executes: the session's pseudo_thread_id, which the sink's binlog has in the query event.
# Servers count connections from 1, in 32 bits: hardly one gets one of these by itself. The lower half tells apart
# statements.
_DDL_THREAD_IDS = 0xFEED0000

# utf8mb4_bin: names differ by case and accent. Longest key: (64 + 512) * 4 bytes, below InnoDB's 3072.
_TABLES = (
    f"CREATE DATABASE IF NOT EXISTS {SCHEMA} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
    f"""CREATE TABLE IF NOT EXISTS {SCHEMA}.fence (
        changefeed_uid VARCHAR(64) NOT NULL PRIMARY KEY,
        epoch BIGINT UNSIGNED NOT NULL,
        owner VARCHAR(255) NOT NULL,
        removed_at TIMESTAMP NULL DEFAULT NULL
    ) ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin""",
    f"""CREATE TABLE IF NOT EXISTS {SCHEMA}.progress (
        changefeed_uid VARCHAR(64) NOT NULL,
        dispatcher VARCHAR(160) NOT NULL,
        epoch BIGINT UNSIGNED NOT NULL,
        generation BIGINT UNSIGNED NOT NULL,
        gtid_set MEDIUMTEXT NOT NULL,
        binlog_file VARCHAR(512) NOT NULL,
        binlog_pos BIGINT UNSIGNED NOT NULL,
        source_uuid VARCHAR(64) NOT NULL,
        commit_time DOUBLE NOT NULL,
        mark VARCHAR(255) NOT NULL DEFAULT '',
        session_id BIGINT UNSIGNED NOT NULL DEFAULT 0,
        session_host VARCHAR(300) NOT NULL DEFAULT '',
        updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
        PRIMARY KEY (changefeed_uid, dispatcher)
    ) ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin""",
    f"""CREATE TABLE IF NOT EXISTS {SCHEMA}.ddl (
        changefeed_uid VARCHAR(64) NOT NULL,
        ddl_key VARCHAR(512) NOT NULL,
        state VARCHAR(16) NOT NULL,
        statement LONGTEXT NOT NULL,
        fingerprint_before LONGTEXT NOT NULL,
        epoch BIGINT UNSIGNED NOT NULL,
        session_id BIGINT UNSIGNED NOT NULL,
        session_host VARCHAR(300) NOT NULL,
        updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
        PRIMARY KEY (changefeed_uid, ddl_key)
    ) ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin""",
    # xid: of the longest, 128 bytes in hexadecimal, in quotes.
    f"""CREATE TABLE IF NOT EXISTS {SCHEMA}.xa (
        changefeed_uid VARCHAR(64) NOT NULL,
        xid VARCHAR(300) NOT NULL,
        dispatcher VARCHAR(160) NOT NULL,
        number INT UNSIGNED NOT NULL,
        format_description BLOB NOT NULL,
        events LONGBLOB NOT NULL,
        PRIMARY KEY (changefeed_uid, xid, dispatcher, number)
    ) ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin""",
)
_NAMES = ("fence", "progress", "ddl", "xa")


# What tables got that were made by an earlier version: (table, column, definition). Additive, with a default.
_ADDED = (("progress", "mark", "VARCHAR(255) NOT NULL DEFAULT '' AFTER commit_time"),)


def ddl_thread_id(number: int) -> int:
    """The thread id of a statement that a changefeed executes; `number` has 16 bits."""
    return _DDL_THREAD_IDS | number


def is_ddl_thread_id(thread_id: int) -> bool:
    """Whether a changefeed has executed the statement that is logged with this thread id."""
    return thread_id & 0xFFFF0000 == _DDL_THREAD_IDS


def ensure_schema(conn: Connection[Cursor]) -> None:
    """Create what is missing; needs no CREATE or ALTER privilege where nothing is."""
    with conn.cursor() as cursor:
        cursor.execute(
            "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = %s AND table_name IN %s",
            (SCHEMA, _NAMES),
        )
        if cursor.fetchall() != ((len(_NAMES),),):
            for statement in _TABLES:
                cursor.execute(statement)
        for table, column, definition in _ADDED:
            cursor.execute(
                "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = %s AND table_name = %s"
                " AND column_name = %s",
                (SCHEMA, table, column),
            )
            if cursor.fetchall() == ((0,),):
                _add_column(cursor, table, column, definition)


def _add_column(cursor: Cursor, table: str, column: str, definition: str) -> None:
    cursor.execute("SET SESSION lock_wait_timeout = 10")  # of a writer that hangs; its session is ended soon
    try:
        cursor.execute(f"ALTER TABLE {SCHEMA}.{table} ADD COLUMN {column} {definition}")
    except pymysql.MySQLError as error:
        if error.args[0] != ER.DUP_FIELDNAME:  # a maintainer of another changefeed was faster
            raise
