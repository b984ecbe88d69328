"""Sessions of the source: their transactions, XA transactions included, and their variables."""

from __future__ import annotations

from typing import Final

from tests.storm.turn import Draft, Turn

SQL_MODES: Final = (
    *("", "STRICT_TRANS_TABLES", "STRICT_ALL_TABLES,ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "PIPES_AS_CONCAT"),
    *("STRICT_TRANS_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO", "ANSI", "REAL_AS_FLOAT"),
    *("TRADITIONAL", "NO_AUTO_VALUE_ON_ZERO,IGNORE_SPACE", "HIGH_NOT_PRECEDENCE,NO_ENGINE_SUBSTITUTION"),
)
CODECS: Final = {
    "utf8mb4": "utf-8",
    "utf8mb3": "utf-8",
    "latin1": "cp1252",
    "latin2": "iso8859-2",
    "cp1251": "cp1251",
    "greek": "iso8859-7",
    "ascii": "ascii",
    "koi8r": "koi8-r",
    "latin5": "iso8859-9",
    "binary": "ascii",
    "dec8": "ascii",
    "euckr": "ascii",
    "eucjpms": "ascii",
    "macce": "ascii",
}
_COLLATIONS: Final = ("utf8mb4_bin", "utf8mb4_general_ci", "utf8mb4_unicode_ci", "utf8mb4_croatian_ci")
_VARIABLES: Final = (
    *("time_zone = '+05:30'", "time_zone = '-08:00'", "time_zone = 'SYSTEM'", "auto_increment_increment = 10"),
    *("auto_increment_offset = 3", "auto_increment_increment = 1", "unique_checks = 0", "unique_checks = 1"),
    *("explicit_defaults_for_timestamp = 0", "explicit_defaults_for_timestamp = 1", "innodb_strict_mode = 0"),
    *("innodb_strict_mode = 1", "lc_time_names = 'de_DE'", "collation_server = 'utf8mb4_bin'"),
    *("collation_server = DEFAULT", "timestamp = 1700000000", "timestamp = DEFAULT", "sql_auto_is_null = 1"),
    *("collation_connection = 'utf8mb4_bin'", "div_precision_increment = 7", "group_concat_max_len = 4"),
)
_OF: Final = {
    "mysql": (
        *("binlog_rows_query_log_events = 1", "binlog_transaction_compression = 1", "binlog_row_value_options = ''"),
        *("binlog_transaction_compression = 0", "binlog_row_value_options = 'PARTIAL_JSON'"),
        *("default_collation_for_utf8mb4 = 'utf8mb4_general_ci'", "default_table_encryption = 0"),
    ),
    "mariadb": (
        *("gtid_domain_id = 1", "gtid_domain_id = 0", "check_constraint_checks = 0", "check_constraint_checks = 1"),
        *("skip_replication = 0", "server_id = 4711", "binlog_annotate_row_events = 0"),
        *("system_versioning_alter_history = KEEP", "binlog_annotate_row_events = 1"),
    ),
}
_GLOBALS: Final = {
    "mysql": ("GLOBAL binlog_row_metadata = FULL", "GLOBAL binlog_row_metadata = MINIMAL"),
    "mariadb": ("GLOBAL binlog_row_metadata = FULL", "GLOBAL log_bin_compress = 1", "GLOBAL log_bin_compress = 0"),
}


def use(turn: Turn) -> Draft | None:
    """Sometimes a schema that the sink has, too, and in which nothing can be made."""
    schema = "information_schema" if turn.likely(0.5) else turn.schema()
    if schema is None:
        return None

    def apply() -> None:
        turn.session.uses = schema

    return Draft(f"USE {turn.q(schema)}", (), apply, keeps=True)


def sql_mode(turn: Turn) -> Draft | None:
    mode = turn.chance.choice(SQL_MODES)

    def apply() -> None:
        turn.session.sql_mode = mode

    return Draft(f"SET SESSION sql_mode = '{mode}'", (), apply, keeps=True)


def character_set(turn: Turn) -> Draft | None:
    """Session 0 keeps utf8mb4, so that every name can be written by somebody."""
    if turn.session.number == 0:
        return Draft(f"SET NAMES utf8mb4 COLLATE {turn.chance.choice(_COLLATIONS)}", keeps=True)
    charset = turn.chance.choice(list(CODECS))

    def apply() -> None:
        turn.session.charset = charset

    return Draft(f"SET NAMES {charset}", (), apply, keeps=True)


def foreign_key_checks(turn: Turn) -> Draft | None:
    on = not turn.session.checks_foreign_keys

    def apply() -> None:
        turn.session.checks_foreign_keys = on

    return Draft(f"SET foreign_key_checks = {int(on)}", (), apply, keeps=True)


def row_image(turn: Turn) -> Draft | None:
    image = turn.chance.choice(("FULL", "MINIMAL", "NOBLOB"))
    if turn.session.in_transaction:
        return None

    def apply() -> None:
        turn.session.row_image = image

    return Draft(f"SET SESSION binlog_row_image = '{image}'", (), apply)


def variable(turn: Turn) -> Draft | None:
    if turn.session.in_transaction:
        return None
    return Draft(f"SET SESSION {turn.chance.choice((*_VARIABLES, *_OF[turn.world.flavour]))}")


def global_variable(turn: Turn) -> Draft | None:
    return Draft(f"SET {turn.chance.choice(_GLOBALS[turn.world.flavour])}", keeps=True)


def rotate(turn: Turn) -> Draft | None:
    return None if turn.session.in_transaction else Draft("FLUSH BINARY LOGS")


def maintain(turn: Turn) -> Draft | None:
    """Logged, and not replicated."""
    table = turn.table()
    if table is None:
        return None
    words = turn.chance.choice(("ANALYZE TABLE", "OPTIMIZE TABLE", "CHECK TABLE"))
    if words.startswith("OPTIMIZE") and not turn.may_rebuild(table):
        return None
    return Draft(f"{words} {turn.name(table.name)}", turn.world.tied(table.name))


# -- transactions ------------------------------------------------------------------------------------------------------


def begin(turn: Turn) -> Draft | None:
    if turn.session.in_transaction:
        return None

    def apply() -> None:
        turn.session.in_transaction = True

    return Draft(turn.chance.choice(("BEGIN", "START TRANSACTION")), (), apply, keeps=True)


def commit(turn: Turn) -> Draft | None:
    return _ended(turn, "COMMIT")


def rollback(turn: Turn) -> Draft | None:
    return _ended(turn, "ROLLBACK")


def savepoint(turn: Turn) -> Draft | None:
    if not turn.session.in_transaction or turn.session.xa:
        return None
    name = turn.own_name("s")

    def apply() -> None:
        turn.session.savepoints.append(name)

    return Draft(f"SAVEPOINT {turn.q(name)}", (), apply, keeps=True)


def rollback_to(turn: Turn) -> Draft | None:
    if not turn.session.savepoints:
        return None
    at = turn.chance.randrange(len(turn.session.savepoints))
    name = turn.session.savepoints[at]

    def apply() -> None:
        del turn.session.savepoints[at + 1 :]

    return Draft(f"ROLLBACK TO SAVEPOINT {turn.q(name)}", (), apply, keeps=True)


def xa_start(turn: Turn) -> Draft | None:
    if turn.session.in_transaction:
        return None
    xid = f"'storm{turn.world.next()}'" + turn.chance.choice(("", ",'branch'", ",X'00ff',7"))

    def apply() -> None:
        turn.session.in_transaction, turn.session.xa, turn.session.xa_state = True, xid, "active"

    return Draft(f"XA START {xid}", (), apply, keeps=True)


def xa_next(turn: Turn) -> Draft | None:
    """Whatever comes next in an XA transaction's life."""
    session = turn.session
    if not session.xa:
        return None
    xid = session.xa
    if session.xa_state == "active":
        return Draft(f"XA END {xid}", (), lambda: _xa(turn, "idle"), keeps=True)
    if session.xa_state == "idle":
        choice = turn.chance.choice(("PREPARE", "PREPARE", "COMMIT", "ROLLBACK"))
        if choice == "PREPARE":
            return Draft(f"XA PREPARE {xid}", (), lambda: _xa(turn, "prepared"), keeps=True)
        text = f"XA COMMIT {xid} ONE PHASE" if choice == "COMMIT" else f"XA ROLLBACK {xid}"
    else:
        text = f"XA {turn.chance.choice(('COMMIT', 'COMMIT', 'ROLLBACK'))} {xid}"
    return Draft(text, tuple(session.open), session.end_transaction)


def _xa(turn: Turn, state: str) -> None:
    turn.session.xa_state = state


def _ended(turn: Turn, word: str) -> Draft | None:
    session = turn.session
    if not session.in_transaction or session.xa:
        return None
    return Draft(word, tuple(session.open), session.end_transaction)
