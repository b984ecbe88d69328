"""Rules on the two servers: versions, settings, grants. Pure: facts in, problems out.

Any binlog_row_image will do (FULL, MINIMAL, NOBLOB), partial JSON, compressed transactions and gtid_mode=OFF too: rows
are applied as the source logged them, and without GTIDs by file and offset.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hedgerow.common.errors import Problem
from hedgerow.common.ledger.schema import SCHEMA
from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.mysql.names import quoted
from hedgerow.common.mysql.versioning import WAY_ON, ends_differ
from hedgerow.coordinator.preflight.facts import Facts
from hedgerow.coordinator.preflight.grants import EVERYWHERE

OLDEST: Final[dict[Flavour, tuple[int, int, int]]] = {"mysql": (8, 0, 0), "mariadb": (10, 6, 0)}
_APPLIER_SINCE: Final = (8, 0, 18)
_SYSTEM_USER_SINCE: Final = (8, 0, 16)  # for definers that hold it, as administrators do
_ANY_DEFINER_SINCE: Final = (8, 2, 0)
SCHEMA_PRIVILEGES: Final = ("SELECT", "INSERT", "UPDATE", "DELETE", "CREATE")
DDL_PRIVILEGES: Final = ("SELECT", "INSERT", "CREATE", "DROP", "ALTER", "INDEX", "REFERENCES")


def source_problems(source: Facts) -> list[Problem]:
    """What prevents this server from being a source."""
    problems = _version(source, "source")
    at = f"on the source {source.address}"
    name, value = source.variable("log_bin")
    if value != "ON":
        problems.append(
            Problem(
                f"{at}, {name or 'log_bin'} is {value or 'OFF'}: it writes no binlog",
                "set log_bin = binlog under [mysqld] in its configuration, and restart it",
            )
        )
    name, value = source.variable("binlog_format")
    if name and value != "ROW":
        problems.append(
            Problem(
                f"{at}, {name} is {value}: its binlog holds statements, not rows",
                "SET GLOBAL binlog_format = 'ROW'; and binlog_format = ROW under [mysqld] in its configuration "
                "(sessions that are open keep their format: reconnect them)",
            )
        )
    if source.variables.get("server_id") == "0":
        problems.append(
            Problem(
                f"{at}, server_id is 0: it serves no replicas",
                "SET GLOBAL server_id = 1; and server_id = 1 under [mysqld] in its configuration",
            )
        )
    for option, schemas in (("binlog_do_db", source.binlog_do), ("binlog_ignore_db", source.binlog_ignore)):
        if schemas:
            problems.append(
                Problem(
                    f"{at}, {option} is {schemas}: changes are missing from its binlog without a trace",
                    f"remove {option} from its configuration, and restart it (choose tables with --filter instead)",
                )
            )
    problems += _unseen(source)
    if source.unlogged:
        problems.append(
            Problem(
                f"{at}, {source.unlogged} is OFF, and it replicates from another server: its binlog lacks the "
                "changes that come from there",
                f"set {source.unlogged} = ON under [mysqld] in its configuration, and restart it; or replicate from "
                "that other server",
            )
        )
    if "dump" in source.denied:
        problems.append(_grant(source, "source", "REPLICATION SLAVE", "it cannot read the binlog"))
    if "binlog status" in source.denied:
        privilege = "BINLOG MONITOR" if source.info.flavour == "mariadb" else "REPLICATION CLIENT"
        problems.append(_grant(source, "source", privilege, "it cannot ask for the binlog's position"))
    return problems


def _unseen(source: Facts) -> list[Problem]:
    """Tables that the account cannot see would be in no list, and their rows would stop the changefeed."""
    schemas = source.grants.unseen(source.filter)
    if not schemas:
        return []
    if schemas == [EVERYWHERE]:
        return [
            _grant(
                source,
                "source",
                "SELECT",
                f"it sees only some of the tables that the filter ({source.filter}) may match",
            )
        ]
    return [
        Problem(
            f"on the source {source.address}, {source.account} lacks SELECT on schema {schema}: it does not "
            f"see all of the tables there, and the filter ({source.filter}) may match some of them",
            f"GRANT SELECT ON {schema_level(schema)} TO {source.account};",
        )
        for schema in schemas
    ]


def sink_problems(sink: Facts, schemas: Iterable[str]) -> list[Problem]:
    """What keeps this server from being a sink for tables of these schemas."""
    problems = _version(sink, "sink")
    if "apply" in sink.denied:
        privilege = "BINLOG REPLAY" if sink.info.flavour == "mariadb" else _mysql_applier(sink)
        problems.append(_grant(sink, "sink", privilege, "it cannot apply rows"))
    elif "gtid_next" in sink.denied:
        problems.append(_grant(sink, "sink", "SESSION_VARIABLES_ADMIN", "it cannot set gtid_next"))
    if missing := sink.grants.missing(SCHEMA_PRIVILEGES, SCHEMA):
        problems.append(
            Problem(
                f"on the sink {sink.address}, {sink.account} lacks {', '.join(missing)} on schema {SCHEMA}, where "
                "positions and the fence are kept",
                f"GRANT ALL ON `{SCHEMA}`.* TO {sink.account};",
            )
        )
    for schema in sorted(set(schemas)):
        if missing := sink.grants.missing(DDL_PRIVILEGES, schema):
            problems.append(
                Problem(
                    f"on the sink {sink.address}, {sink.account} lacks {', '.join(missing)} on schema {schema}: it "
                    "cannot see the tables there, or cannot execute DDL",
                    f"GRANT {', '.join(missing)} ON {schema_level(schema)} TO {sink.account};",
                )
            )
    return problems + _sink_settings(sink)


def sink_warnings(sink: Facts) -> list[Problem]:
    """What stops the changefeed at a view, trigger or routine, which the servers log with the source's account as
    definer; or after a crash in the middle of a DDL."""
    warnings = []
    wanted = _definer_privileges(sink)
    if (missing := sink.grants.missing(wanted)) and sink.grants.missing(("SUPER",)):
        warnings.append(
            Problem(
                f"on the sink {sink.address}, {sink.account} lacks {', '.join(missing)}: a CREATE VIEW, TRIGGER, "
                "PROCEDURE or FUNCTION of the source will stop the changefeed, since its definer is another account",
                f"GRANT {', '.join(missing)} ON *.* TO {sink.account};",
            )
        )
    name = "log_bin_trust_function_creators"
    if sink.variables.get("log_bin") == "ON" and sink.variables.get(name) == "OFF" and sink.grants.missing(("SUPER",)):
        warnings.append(
            Problem(
                f"on the sink {sink.address}, {name} is OFF: a CREATE TRIGGER or FUNCTION of the source will stop the "
                "changefeed (1419)",
                f"SET GLOBAL {name} = ON; and {name} = ON under [mysqld] in its configuration",
            )
        )
    evidence = ("REPLICATION SLAVE", "BINLOG MONITOR" if sink.info.flavour == "mariadb" else "REPLICATION CLIENT")
    if sink.variables.get("log_bin") == "ON" and (missing := sink.grants.missing(evidence)):
        warnings.append(
            Problem(
                f"on the sink {sink.address}, {sink.account} lacks {', '.join(missing)}: if a node or the sink dies "
                "while a DDL statement is being executed, it cannot read from the sink's binlog whether the statement "
                "was executed, and the changefeed may stop and ask",
                f"GRANT {', '.join(missing)} ON *.* TO {sink.account};",
            )
        )
    return warnings


def pair_problems(source: Facts, sink: Facts) -> list[Problem]:
    """What keeps these two from being a pair."""
    problems = []
    if source.info.flavour != sink.info.flavour:
        problems.append(
            Problem(
                f"the source {source.address} is {source.info}, the sink {sink.address} is {sink.info}: rows cannot be "
                "applied as logged across flavours",
                f"choose a sink of the source's flavour ({'MariaDB' if source.info.flavour == 'mariadb' else 'MySQL'})",
            )
        )
    elif _same_server(source, sink):
        problems.append(
            Problem(
                f"the source {source.address} and the sink {sink.address} are the same server: every change would be "
                "applied where it came from",
                "choose another sink",
            )
        )
    versioned = sorted(name.key for name, table in source.tables.listed.items() if table.kind == "SYSTEM VERSIONED")
    if versioned and ends_differ(source.info.flavour, source.info.version, sink.info.version):
        problems.append(
            Problem(
                f"{', '.join(versioned[:5])}{' ...' if versioned[5:] else ''}: current rows of a system-versioned "
                f"table of the source, {source.info}, are history to the sink, {sink.info}, and would not be found",
                WAY_ON,
            )
        )
    for uid, origin in sorted(source.applied):
        if origin != sink.info.source_id:
            problems.append(
                Problem(
                    f"the source {source.address} is itself the sink of changefeed {uid}, from server "
                    f"{origin or '(unknown)'}: what that one applies would be skipped, because chains are not "
                    "supported",
                    f"replicate from that server to {sink.address}, or remove that changefeed first (if nothing else "
                    f"of it is left: DELETE FROM {SCHEMA}.progress WHERE changefeed_uid = '{uid}'; on "
                    f"{source.address})",
                )
            )
    name, theirs = source.variable("lower_case_table_names")
    ours = sink.variables.get(name, theirs)
    if name and theirs != ours:
        problems.append(
            Problem(
                f"{name} is {theirs} on the source {source.address} and {ours} on the sink {sink.address}: the same "
                "name can mean different tables",
                f"set {name} = {theirs} under [mysqld] in the sink's configuration (MySQL: only when its data "
                "directory is initialised again)",
            )
        )
    return problems


def pair_warnings(source: Facts, sink: Facts) -> list[Problem]:
    """What may go wrong later."""
    warnings = []
    if source.info.flavour == sink.info.flavour and sink.info.version[:2] < source.info.version[:2]:
        warnings.append(
            Problem(
                f"the sink {sink.address} is {sink.info}, older than the source {source.address}, {source.info}: DDL "
                "and column types that it does not know will stop the changefeed",
                "upgrade the sink first",
            )
        )
    name = "max_allowed_packet"
    theirs, ours = int(source.variables.get(name, 0)), int(sink.variables.get(name, 0))
    if ours < theirs:
        warnings.append(
            Problem(
                f"{name} is {theirs} on the source {source.address} and {ours} on the sink {sink.address}: a row of "
                f"more than {ours * 3 // 4} bytes will stop the changefeed",
                f"SET GLOBAL {name} = {min(theirs * 4 // 3 // 1024 * 1024 + 1024, 1 << 30)}; on the sink",
            )
        )
    return warnings


def _sink_settings(sink: Facts) -> list[Problem]:
    problems = []
    at = f"on the sink {sink.address}"
    bypass = ("READ_ONLY ADMIN",) if sink.info.flavour == "mariadb" else ("CONNECTION_ADMIN",)
    may_write = not sink.grants.missing(bypass) or not sink.grants.missing(("SUPER",))
    for name in ("super_read_only", "read_only"):
        value = sink.variables.get(name, "OFF")
        if value not in ("OFF", "0") and (name == "super_read_only" or not may_write):
            problems.append(Problem(f"{at}, {name} is {value}: it takes no changes", f"SET GLOBAL {name} = OFF;"))
    name, value = "binlog_format", sink.variables.get("binlog_format", "ROW")
    if value == "STATEMENT" and sink.variables.get("log_bin") == "ON":
        problems.append(
            Problem(
                f"{at}, {name} is {value}: it refuses to apply rows, because it could not log them (1665)",
                f"SET GLOBAL {name} = 'ROW'; and {name} = ROW under [mysqld] in its configuration",
            )
        )
    wanted = (
        (
            ("replica_exec_mode", "slave_exec_mode"),
            "STRICT",
            "missing or duplicate rows would go unnoticed",
        ),
        (("slave_run_triggers_for_rbr",), "NO", "triggers would run again for rows whose effects are in the binlog"),
    )
    for names, value, why in wanted:
        name, found = sink.variable(*names)
        if name and found != value:
            problems.append(Problem(f"{at}, {name} is {found}: {why}", f"SET GLOBAL {name} = {value};"))
    return problems


def _version(facts: Facts, what: str) -> list[Problem]:
    oldest = OLDEST[facts.info.flavour]
    if facts.info.version >= oldest:
        return []
    return [
        Problem(
            f"the {what} {facts.address} is {facts.info}, which is too old",
            f"upgrade it to {oldest[0]}.{oldest[1]} or later",
        )
    ]


def schema_level(schema: str) -> str:
    """As GRANT takes it: a schema there is a LIKE pattern."""
    return quoted(schema.replace("_", "\\_").replace("%", "\\%")) + ".*"


def _mysql_applier(sink: Facts) -> str:
    """With REPLICATION_APPLIER the server checks the account's privileges on each table; with BINLOG_ADMIN it checks
    nothing."""
    applier = "REPLICATION_APPLIER" if sink.info.version >= _APPLIER_SINCE else "BINLOG_ADMIN"
    return f"{applier}, SESSION_VARIABLES_ADMIN"


def _definer_privileges(sink: Facts) -> tuple[str, ...]:
    if sink.info.flavour == "mariadb":
        return ("SET USER",)
    if sink.info.version >= _ANY_DEFINER_SINCE:
        return ("SET_ANY_DEFINER", "ALLOW_NONEXISTENT_DEFINER", "SYSTEM_USER")
    return ("SET_USER_ID", "SYSTEM_USER") if sink.info.version >= _SYSTEM_USER_SINCE else ("SET_USER_ID",)


def _grant(facts: Facts, what: str, privilege: str, why: str) -> Problem:
    return Problem(
        f"on the {what} {facts.address}, {facts.account} lacks {privilege}: {why}",
        f"GRANT {privilege} ON *.* TO {facts.account};",
    )


def _same_server(source: Facts, sink: Facts) -> bool:
    """MySQL's server_uuid tells; MariaDB has only what is unique on one machine."""
    if source.info.flavour == "mysql":
        return source.info.source_id == sink.info.source_id
    names = ("server_id", "hostname", "port", "datadir", "pid_file", "socket")
    return all(source.variables.get(name) == sink.variables.get(name) for name in names)
