"""Rules on the replicated tables: the sink must be able to store the source's rows as they are. Pure.

They hold for a changefeed that starts now. One that starts earlier meets the tables as they were then, so the same
findings are only warnings there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest

from hedgerow.common.errors import Problem
from hedgerow.common.ledger.schema import SCHEMA
from hedgerow.common.mysql.catalog import Column, ForeignKey
from hedgerow.common.mysql.filter import TableFilter
from hedgerow.common.mysql.names import TableName
from hedgerow.coordinator.preflight.facts import Facts, Tables

SHOWN = 5
_WIDTH = re.compile(r"\b(tinyint|smallint|mediumint|int|bigint|year)\(\d+\)")


def table_problems(source: Facts, sink: Facts, table_filter: TableFilter) -> list[Problem]:
    """Tables that are missing from the sink or differ there."""
    theirs, ours = source.tables, sink.tables
    if not theirs.listed:
        return [
            Problem(
                f"the filter ({table_filter}) matches no table on the source {source.address} that "
                f"{source.account} sees",
                f"correct the filter (names are case-sensitive), or GRANT SELECT ON *.* TO {source.account};",
            )
        ]
    problems = _dotted(theirs, source) + _missing(theirs, ours, sink)
    for name in sorted(theirs.listed.keys() & ours.listed.keys()):
        problems += _differing(name, theirs.columns.get(name, ()), ours.columns.get(name, ()), sink)
        engine = ours.listed[name].engine
        if engine and engine not in ours.transactional_engines:
            problems.append(
                Problem(
                    f"table {name.key} on the sink {sink.address} has ENGINE={engine}, which is not transactional: "
                    "rows and position could not be committed together",
                    f"ALTER TABLE {name.quoted} ENGINE=InnoDB; on the sink",
                )
            )
    if _hides_cascades(source):
        problems += _cascades(theirs, ours, sink, table_filter)
    return problems


def replicated_problems(source: Facts, sink: Facts, name: str, names: Mapping[str, str]) -> list[Problem]:
    """Tables that another changefeed replicates into this sink already.

    It is of this cluster where `names` has its uid, and otherwise of another one.
    """
    found: dict[str, list[TableName]] = {}
    for table in sorted(source.tables.listed):
        uid = sink.replicated.get(table.key)
        if uid is not None and names.get(uid) != name:
            found.setdefault(uid, []).append(table)
    problems = []
    for uid, tables in found.items():
        whose = f"changefeed {names[uid]}" if uid in names else f"the changefeed with uid {uid} (of another cluster)"
        fix = f"leave {'it' if len(tables) == 1 else 'them'} out with the filter, or remove {whose} first"
        if uid not in names:
            fix += (
                f" (if nothing else of it is left: DELETE FROM {SCHEMA}.progress WHERE changefeed_uid = "
                f"'{uid}'; on {sink.address})"
            )
        problems.append(
            Problem(
                f"{whose} already replicates {_some(tables)} into the sink {sink.address}: every change would be "
                "applied twice",
                fix,
            )
        )
    return problems


def _dotted(theirs: Tables, source: Facts) -> list[Problem]:
    """`a.b`.`c` and `a`.`b.c` would share a dispatcher, which is keyed by schema.table."""
    dotted = sorted(name for name in theirs.listed if "." in name.schema or "." in name.table)
    if not dotted:
        return []
    return [
        Problem(
            f"on the source {source.address}, names contain a dot: {_quoted(dotted)}. They cannot be distinguished "
            "from another schema and table",
            f"rename them (RENAME TABLE {dotted[0].quoted} TO ...;), or leave them out with --filter "
            f"'!{dotted[0].quoted}'",
        )
    ]


def _missing(theirs: Tables, ours: Tables, sink: Facts) -> list[Problem]:
    missing = sorted(theirs.listed.keys() - ours.listed.keys())
    if not missing:
        return []
    one = len(missing) == 1
    tables = " ".join(name.table for name in missing if name.schema == missing[0].schema)
    return [
        Problem(
            f"the sink {sink.address} has no table {_some(missing)}"
            if one
            else f"the sink {sink.address} lacks {len(missing)} tables: {_some(missing)}",
            "load the tables into the sink first, with the position to start from (for empty ones: mysqldump --no-data "
            f"{missing[0].schema} {tables if len(tables) < 100 else '...'}), or leave them out with --filter "
            f"'!{missing[0].key}'",
        )
    ]


def _differing(name: TableName, theirs: Sequence[Column], ours: Sequence[Column], sink: Facts) -> list[Problem]:
    differences = []
    for index, (there, here) in enumerate(zip_longest(theirs, ours), start=1):
        if here is None:
            differences.append(f"column {index}, {there.name} {there.stored_type}, is missing")
        elif there is None:
            differences.append(f"column {index}, {here.name} {here.stored_type}, is not in the source")
        elif there.name != here.name:
            differences.append(f"column {index} is {here.name} instead of {there.name}")
        elif _comparable(there) != _comparable(here):
            differences.append(f"column {here.name} is {here.stored_type} instead of {there.stored_type}")
        elif there.nullable and not here.nullable:
            differences.append(f"column {here.name} is NOT NULL instead of NULL")
    if not differences:
        return []
    shown = "; ".join(differences[:SHOWN]) + (f"; and {len(differences) - SHOWN} more" if differences[SHOWN:] else "")
    return [
        Problem(
            f"table {name.key} on the sink {sink.address} differs from the source's: {shown}",
            f"ALTER TABLE {name.quoted} on the sink until SHOW CREATE TABLE agrees on both servers",
        )
    ]


def _comparable(column: Column) -> str:
    """Display widths vary by version and change nothing; utf8 is an older name of utf8mb3."""
    return re.sub(r"\butf8\b", "utf8mb3", _WIDTH.sub(r"\1", column.stored_type).replace(" zerofill", ""))


def _hides_cascades(source: Facts) -> bool:
    """Up to MySQL 9.5 and on MariaDB, InnoDB cascades by itself and the binlog holds the parent's change only."""
    logs_them = source.info.flavour == "mysql" and source.info.version >= (9, 6, 0)
    return not logs_them or source.variables.get("innodb_native_foreign_keys") == "ON"


def _cascades(theirs: Tables, ours: Tables, sink: Facts, table_filter: TableFilter) -> list[Problem]:
    problems = []
    here = {_rule(key): key for key in ours.foreign_keys if key.cascades and key.child in theirs.listed}
    there = {_rule(key): key for key in theirs.foreign_keys if key.cascades and key.child in theirs.listed}
    for key in _sorted(there.values()):
        if not table_filter.matches(*key.parent):
            problems.append(
                Problem(
                    f"{_described(key)} changes {key.child.key} without any event in the binlog, and the filter "
                    f"leaves {key.parent.key} out",
                    f"add {key.parent.key} to the filter, or leave {key.child.key} out",
                )
            )
        elif _rule(key) not in here and key.child in ours.listed:
            problems.append(
                Problem(
                    f"{_described(key)} is not on the sink {sink.address}: its effects are not in the binlog, so "
                    "the sink must have the key too",
                    f"ALTER TABLE {key.child.quoted} ADD FOREIGN KEY (...) REFERENCES {key.parent.quoted} (...) "
                    f"ON UPDATE {key.on_update} ON DELETE {key.on_delete}; on the sink",
                )
            )
    for key in _sorted(here.values()):
        if _rule(key) not in there:
            problems.append(
                Problem(
                    f"{_described(key)} is on the sink {sink.address} only: it would change rows that the "
                    "source leaves alone",
                    f"ALTER TABLE {key.child.quoted} DROP FOREIGN KEY {key.name}; on the sink",
                )
            )
    return problems


def _rule(key: ForeignKey) -> tuple[object, ...]:
    """What must be alike; names may differ."""
    return (key.child, key.parent, key.on_update, key.on_delete)


def _sorted(keys: Iterable[ForeignKey]) -> list[ForeignKey]:
    return sorted(keys, key=lambda key: (key.child, key.name))


def _described(key: ForeignKey) -> str:
    return (
        f"foreign key {key.name} of {key.child.key} to {key.parent.key} "
        f"(ON UPDATE {key.on_update} ON DELETE {key.on_delete})"
    )


def _quoted(names: Sequence[TableName]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(name.quoted for name in names[:SHOWN]) + more


def _some(names: Sequence[TableName]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(name.key for name in names[:SHOWN]) + more
