"""The rules of preflight on made-up facts: versions, pairs and details that no server at hand shows."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from hedgerow.common.mysql.catalog import Column, ForeignKey, Table
from hedgerow.common.mysql.connect import Flavour, ServerInfo
from hedgerow.common.mysql.filter import TableFilter
from hedgerow.common.mysql.names import TableName
from hedgerow.coordinator.preflight.facts import Facts, Tables
from hedgerow.coordinator.preflight.grants import parse_grants
from hedgerow.coordinator.preflight.servers import (
    pair_problems,
    pair_warnings,
    sink_problems,
    sink_warnings,
    source_problems,
)
from hedgerow.coordinator.preflight.tables import table_problems

CHILD, PARENT = TableName("d", "child"), TableName("d", "parent")
EVERYTHING = TableFilter()


def column(name: str, kind: str, charset: str = "") -> Column:
    return Column(name, kind, charset, "", nullable=True, generated="", compressed=False)


def tables(*columns: Column, keys: tuple[ForeignKey, ...] = ()) -> Tables:
    names = (CHILD, PARENT)
    return Tables({n: Table(n, "BASE TABLE", "InnoDB") for n in names}, dict.fromkeys(names, columns), keys)


def facts(
    flavour: Flavour = "mysql", version: tuple[int, int, int] = (8, 4, 0), identity: str = "1", **changes: Any
) -> Facts:
    variables = {"log_bin": "ON", "binlog_format": "ROW", "server_id": "1", **changes.pop("variables", {})}
    grants = parse_grants(["GRANT ALL PRIVILEGES ON *.* TO u"])
    base = Facts("h:1", ServerInfo(flavour, version, "", identity), "'u'@'%'", variables, grants, tables(), EVERYTHING)
    return dataclasses.replace(base, **changes)


def test_nothing_to_complain_about() -> None:
    source, sink = facts(), facts(identity="2")
    assert source_problems(source) == sink_problems(sink, ["d"]) == pair_problems(source, sink) == []
    assert pair_warnings(source, sink) == table_problems(source, sink, EVERYTHING) == []


@pytest.mark.parametrize(
    ("flavour", "version", "fine"),
    [
        ("mysql", (5, 7, 44), False),
        ("mysql", (8, 0, 11), True),
        ("mariadb", (10, 5, 20), False),
        ("mariadb", (10, 6, 0), True),
    ],
)
def test_oldest_versions(flavour: Flavour, version: tuple[int, int, int], fine: bool) -> None:
    assert (source_problems(facts(flavour, version)) == []) is fine
    assert (sink_problems(facts(flavour, version), []) == []) is fine


@pytest.mark.parametrize(
    ("variables", "word"),
    [
        ({"log_bin": "OFF"}, "log_bin is OFF"),
        ({"binlog_format": "MIXED"}, "binlog_format is MIXED"),
        ({"server_id": "0"}, "server_id is 0"),
    ],
)
def test_source_settings(variables: dict[str, str], word: str) -> None:
    (problem,) = source_problems(facts(variables=variables))
    assert word in problem.found


@pytest.mark.parametrize(
    ("flavour", "variables", "fix"),
    [
        ("mysql", {"super_read_only": "ON"}, "SET GLOBAL super_read_only = OFF;"),
        ("mysql", {"replica_exec_mode": "IDEMPOTENT"}, "SET GLOBAL replica_exec_mode = STRICT;"),
        ("mysql", {"slave_exec_mode": "IDEMPOTENT"}, "SET GLOBAL slave_exec_mode = STRICT;"),
        ("mariadb", {"slave_run_triggers_for_rbr": "YES"}, "SET GLOBAL slave_run_triggers_for_rbr = NO;"),
    ],
)
def test_sink_settings(flavour: Flavour, variables: dict[str, str], fix: str) -> None:
    version = (8, 4, 0) if flavour == "mysql" else (10, 11, 0)
    (problem,) = sink_problems(facts(flavour, version, variables=variables), [])
    assert problem.fix == fix


def test_read_only_stops_those_who_may_not_bypass_it() -> None:
    variables = {"read_only": "ON"}
    assert sink_problems(facts(variables=variables), []) == []
    plain = parse_grants(["GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON *.* TO u"])
    (problem,) = sink_problems(facts(variables=variables, grants=plain), [])
    assert "read_only is ON" in problem.found


def test_versioned_tables_do_not_cross_the_end_of_time() -> None:
    found = Tables({CHILD: Table(CHILD, "SYSTEM VERSIONED", "InnoDB"), PARENT: Table(PARENT, "BASE TABLE", "InnoDB")})

    def problems(source: tuple[int, int, int], sink: tuple[int, int, int]) -> list[str]:
        pair = facts("mariadb", source, tables=found), facts("mariadb", sink, identity="2")
        return [problem.found for problem in pair_problems(*pair) if "versioned" in problem.found]

    (problem,) = problems((10, 11, 6), (11, 8, 2))
    assert "d.child: current rows" in problem
    assert "d.parent" not in problem
    assert problems((11, 8, 2), (10, 11, 6))
    assert problems((10, 11, 6), (11, 4, 2)) == problems((11, 5, 0), (11, 8, 0)) == []


def test_pairs() -> None:
    (flavours,) = pair_problems(facts(), facts("mariadb", (10, 11, 0)))
    assert "MySQL 8.4.0" in flavours.found
    assert "MariaDB 10.11.0" in flavours.found
    (same,) = pair_problems(facts(), facts())
    assert "same server" in same.found
    (case,) = pair_problems(
        facts(variables={"lower_case_table_names": "0"}),
        facts(identity="2", variables={"lower_case_table_names": "1"}),
    )
    assert "lower_case_table_names is 0" in case.found
    (older,) = pair_warnings(facts(), facts(version=(8, 0, 40), identity="2"))
    assert "older" in older.found
    assert pair_warnings(facts(), facts(version=(8, 4, 9), identity="2")) == []


def test_chains() -> None:
    sink = facts(identity="2")
    assert pair_problems(facts(applied=frozenset({("opposite", "2")})), sink) == []
    (chain,) = pair_problems(facts(applied=frozenset({("opposite", "2"), ("first", "3")})), sink)
    assert "sink of changefeed first, from server 3" in chain.found
    assert "chains are not supported" in chain.found


@pytest.mark.parametrize("name", [TableName("a.b", "c"), TableName("a", "b.c")])
def test_names_with_a_dot(name: TableName) -> None:
    both = Tables({name: Table(name, "BASE TABLE", "InnoDB")}, {name: ()}, ())
    (dotted,) = table_problems(facts(tables=both), facts(tables=both, identity="2"), EVERYTHING)
    assert name.quoted in dotted.found
    assert f"--filter '!{name.quoted}'" in dotted.fix
    assert not TableFilter.parse(["*.*", f"!{name.quoted}"]).matches(*name)


def test_fixes_quote_wildcards_of_schema_names() -> None:
    none = parse_grants([])
    fixes = [problem.fix for problem in sink_problems(facts(grants=none), ["a_b"])]
    assert any("ON `a\\_b`.* TO 'u'@'%';" in fix for fix in fixes)


@pytest.mark.parametrize(
    ("there", "here", "alike"),
    [
        (column("a", "int(11)"), column("a", "int"), True),
        (column("a", "int(10) unsigned zerofill"), column("a", "int unsigned"), True),
        (column("a", "text", "utf8"), column("a", "text", "utf8mb3"), True),
        (column("a", "int"), column("a", "int unsigned"), False),
        (column("a", "varchar(10)", "latin1"), column("a", "varchar(11)", "latin1"), False),
    ],
)
def test_columns(there: Column, here: Column, alike: bool) -> None:
    found = table_problems(facts(tables=tables(there)), facts(tables=tables(here), identity="2"), EVERYTHING)
    assert (found == []) is alike


@pytest.mark.parametrize(
    ("version", "native", "hidden"),
    [((8, 4, 0), None, True), ((9, 5, 0), None, True), ((9, 6, 0), "OFF", False), ((9, 6, 0), "ON", True)],
)
def test_cascades_that_the_binlog_does_not_hold(
    version: tuple[int, int, int], native: str | None, hidden: bool
) -> None:
    key = ForeignKey("tie", CHILD, PARENT, "RESTRICT", "CASCADE")
    variables = {"innodb_native_foreign_keys": native} if native else {}
    source = facts(version=version, variables=variables, tables=tables(keys=(key,)))
    sink = facts(version=version, variables=variables, identity="2")
    assert bool(table_problems(source, sink, EVERYTHING)) is hidden
    assert bool(table_problems(sink, source, EVERYTHING)) is hidden
    plain = dataclasses.replace(key, on_delete="RESTRICT")
    assert table_problems(dataclasses.replace(source, tables=tables(keys=(plain,))), sink, EVERYTHING) == []


@pytest.mark.parametrize(("flavour", "second"), [("mysql", "REPLICATION CLIENT"), ("mariadb", "BINLOG MONITOR")])
def test_a_sink_whose_binlog_may_not_be_read_is_warned_of(flavour: Flavour, second: str) -> None:
    """It decides whether a DDL was executed in the middle of which somebody died."""
    most = "SYSTEM_USER, SET_ANY_DEFINER, SET_USER_ID, SET USER, ALLOW_NONEXISTENT_DEFINER"

    def warned(grants: str, log_bin: str = "ON") -> list[str]:
        account = parse_grants([f"GRANT {grants} ON *.* TO u"])
        found = sink_warnings(facts(flavour, (11, 4, 0), variables={"log_bin": log_bin}, grants=account))
        return [problem.fix for problem in found if "DDL statement" in problem.found]

    assert warned(most) == [f"GRANT REPLICATION SLAVE, {second} ON *.* TO 'u'@'%';"]
    assert warned(f"{most}, REPLICATION SLAVE") == [f"GRANT {second} ON *.* TO 'u'@'%';"]
    assert warned(f"{most}, REPLICATION SLAVE, {second}") == warned(most, log_bin="OFF") == []
