"""The binlog pipe's programs: whose they are, which are taken, and what is said where one is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bench import pipe
from bench.command import CommandLine, parse_contender
from bench.pipe import find_pipe

LINES = {
    "mariadb-binlog": "mariadb-binlog Ver 3.5 for debian-linux-gnu at x86_64",
    "mariadb": "mariadb  Ver 15.1 Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64) using  EditLine wrapper",
    "mysqlbinlog": "/usr/bin/mysqlbinlog  Ver 9.7.4-2 for Linux on x86_64 ((Debian))",
    "mysql": "mysql  Ver 9.7.4-2 for Linux on x86_64 ((Debian))",
}


@dataclass(frozen=True)
class Installed:
    """A server in a tree that has a loader of its own."""

    server: Path
    version: str = "1.2.3"
    key: str = ""
    options: dict[str, str] = field(default_factory=dict)

    def initialise(self, datadir: Path, log: Path) -> None:
        raise AssertionError("nothing is started")

    def command(self, options: Sequence[str]) -> list[str]:
        return ["/ld.so", "--library-path", "/lib", str(self.server), "--no-defaults"]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """usr/sbin and usr/bin; nothing is on PATH."""
    (tmp_path / "sbin").mkdir()
    (tmp_path / "bin").mkdir()
    monkeypatch.setattr(pipe, "which", lambda name: None)
    monkeypatch.setattr(pipe, "version_line", lambda argv: LINES.get(Path(argv[-1]).name, ""))
    return tmp_path


def install(tree: Path, *names: str) -> None:
    for name in names:
        (tree / "bin" / name).touch()


def test_mysql_takes_its_own_programs_through_its_own_loader(tree: Path) -> None:
    install(tree, "mysqlbinlog", "mysql", "mariadb")
    found = find_pipe("mysql", Installed(tree / "sbin" / "mysqld"))
    assert isinstance(found, CommandLine)
    read, apply = found.command.split(" | ")
    assert read.startswith(f"/ld.so --library-path /lib {tree}/bin/mysqlbinlog --defaults-file={{source_defaults}} ")
    assert "--ssl-mode=DISABLED --get-server-public-key" in apply
    assert apply.startswith(f"/ld.so --library-path /lib {tree}/bin/mysql --defaults-file={{sink_defaults}} ")
    assert not found.live
    assert parse_contender(f"it={found.command}").command == found.command  # a user can write the same


def test_mariadbs_client_serves_mysql_but_its_mysqlbinlog_does_not(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = Installed(tree / "sbin" / "mysqld")
    install(tree, "mysqlbinlog", "mariadb")
    found = find_pipe("mysql", program)
    assert isinstance(found, CommandLine)
    assert found.command.endswith(f"{tree}/bin/mariadb --defaults-file={{sink_defaults}} --skip-ssl --binary-mode")
    monkeypatch.setitem(LINES, "mysqlbinlog", LINES["mariadb-binlog"])
    assert find_pipe("mysql", program) == (
        "binlog pipe is left out: MySQL's mysqlbinlog is not beside the server or on PATH"
    )


def test_what_is_missing_is_told(tree: Path) -> None:
    program = Installed(tree / "sbin" / "mariadbd")
    assert "MariaDB's mariadb-binlog is not beside" in str(find_pipe("mariadb", program))
    install(tree, "mariadb-binlog")
    assert "neither a mysql nor a mariadb client" in str(find_pipe("mariadb", program))
    install(tree, "mariadb")
    found = find_pipe("mariadb", program)
    assert isinstance(found, CommandLine)
    assert "--skip-annotate-row-events {file} | " in found.command
