"""Runs the preflight: queries both servers, checks the answers, resolves the start. Blocking: call it from a thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pymysql
from pymysql.connections import Connection

from hedgerow.common.binlog.position import Position
from hedgerow.common.binlog.startpoint import resolve_start
from hedgerow.common.errors import BadInput, PreflightFailed, Problem, ReplicationError, Unavailable
from hedgerow.common.mysql.connect import Flavour, ServerInfo, What, connect, unavailable
from hedgerow.common.mysql.filter import TableFilter
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.coordinator.preflight.facts import Facts, sink_facts, source_facts
from hedgerow.coordinator.preflight.keys import key_problems
from hedgerow.coordinator.preflight.servers import (
    pair_problems,
    pair_warnings,
    sink_problems,
    sink_warnings,
    source_problems,
)
from hedgerow.coordinator.preflight.tables import replicated_problems, table_problems

READ_SECONDS = 30.0  # for one statement: a catalog of many tables takes its time
NOW = "now"


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a changefeed is created with. `warnings` do not prevent its start, but may stop it later."""

    flavour: Flavour
    start_position: Position
    source: ServerInfo
    sink: ServerInfo
    warnings: tuple[Problem, ...] = ()


def preflight(
    source: ServerUri,
    sink: ServerUri,
    table_filter: TableFilter,
    start: str = NOW,
    name: str = "",
    names: Mapping[str, str] | None = None,
    *,
    timeout: float = 5.0,
) -> Resolved:
    """Check both servers for changefeed `name`, in a cluster that has these changefeeds: `names`, by uid.

    `timeout`: seconds to connect. A server that cannot be reached at all is a problem like any other. Raises
    PreflightFailed with every problem found; SourceUnavailable or SinkUnavailable if a server goes away meanwhile.
    """
    start = start or NOW
    problems: list[Problem] = []
    warnings: list[Problem] = []
    there = _ask(source, "source", table_filter, source_facts, timeout, problems)
    here = _ask(sink, "sink", table_filter, sink_facts, timeout, problems)
    position = None
    if there:
        problems += source_problems(there)
        position = _resolve(source, there, start, problems)
    if here:
        warnings += sink_warnings(here)
        problems += sink_problems(here, {name.schema for name in there.tables.listed} if there else ())
    if there and here:
        problems += pair_problems(there, here)
        warnings += pair_warnings(there, here)
        problems += replicated_problems(there, here, name, names or {})
        problems += key_problems(there, here)
        if there.info.flavour == here.info.flavour:
            found = table_problems(there, here, table_filter)
            (problems if start.strip() == NOW else warnings).extend(found)
    if problems or not (there and here and position):
        raise PreflightFailed(problems)
    return Resolved(there.info.flavour, position, there.info, here.info, tuple(warnings))


def _ask(
    uri: ServerUri,
    what: What,
    table_filter: TableFilter,
    facts: Callable[[Connection[Any], str, TableFilter], Facts],
    timeout: float,
    problems: list[Problem],
) -> Facts | None:
    try:
        connection = connect(uri, what, timeout=timeout, read_timeout=READ_SECONDS)
    except Unavailable as error:
        problems.append(Problem(str(error), f"make the {what} reachable as {uri}, or correct the URI"))
        return None
    with closing(_Closable(connection)):
        try:
            return facts(connection, uri.address, table_filter)
        except (pymysql.MySQLError, OSError) as error:
            raise unavailable(uri, what, error) from error


def _resolve(source: ServerUri, facts: Facts, start: str, problems: list[Problem]) -> Position | None:
    """None where the start is a problem, or where the source has been found unable to tell."""
    if facts.variables.get("log_bin") != "ON" or facts.denied:
        return None
    try:
        return resolve_start(source, facts.info.flavour, start)
    except (BadInput, ReplicationError) as error:
        problems.append(
            Problem(
                str(error) if str(error).startswith("start ") else f"start {start!r}: {error}",
                "choose --start now, earliest, gtid:SET or file:NAME:OFFSET",
            )
        )
        return None


class _Closable:
    """Closes a connection that a refused dump may have broken already."""

    def __init__(self, connection: Connection[Any]) -> None:
        self._connection = connection

    def close(self) -> None:
        if self._connection.open:
            self._connection.close()
