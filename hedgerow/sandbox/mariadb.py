"""MariaDB as a sandbox server: the distribution's own mariadbd, or one unpacked into a tree."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hedgerow.sandbox.programs import program_key, run_to_end, version_line, version_number, which
from hedgerow.sandbox.trees import read_tree

ROOT_VARIABLE = "HEDGEROW_MARIADB_ROOT"
_NAMES = ("mariadbd", "mysqld")
_LOG_FILE_SIZE = "--innodb-log-file-size=16M"
# What mariadb-install-db feeds to the server, which does not know of a tree's loader. Named mysql_ before 11.0.
_SYSTEM_SQL = ("system_tables.sql", "performance_tables.sql", "system_tables_data.sql")


@dataclass(frozen=True, slots=True)
class MariadbProgram:
    """`install_db` makes its data directories, or else the SQL in `share` does."""

    argv: tuple[str, ...]
    install_db: Path | None
    share: Path | None
    version: str
    key: str
    options: Mapping[str, str] = field(default_factory=lambda: {"innodb_log_file_size": "16M"})

    def initialise(self, datadir: Path, log: Path) -> None:
        if self.install_db is None:
            datadir.mkdir()
            options = [f"--datadir={datadir}", "--bootstrap", "--skip-log-bin", _LOG_FILE_SIZE]
            run_to_end(self.command(options), log, self._system_sql())
            return
        options = [f"--user={getpass.getuser()}", f"--datadir={datadir}", _LOG_FILE_SIZE]
        accounts = ["--auth-root-authentication-method=normal", "--skip-test-db"]
        run_to_end([str(self.install_db), "--no-defaults", *options, *accounts], log)

    def command(self, options: Sequence[str]) -> list[str]:
        # mariadbd refuses to run as root unless told so, and ignores --user for anybody else.
        return [*self.argv, f"--user={getpass.getuser()}", *options]

    def _system_sql(self) -> bytes:
        assert self.share is not None
        parts = [b"create database mysql;\nuse mysql;\nset @auth_root_socket=NULL;\n"]
        for name in _SYSTEM_SQL:
            found = [self.share / f"{prefix}_{name}" for prefix in ("mariadb", "mysql")]
            parts.extend(path.read_bytes() for path in found if path.is_file())
        return b"\n".join(parts)


def find() -> MariadbProgram | None:
    """The one in $HEDGEROW_MARIADB_ROOT, else the distribution's."""
    named = os.environ.get(ROOT_VARIABLE)
    if named:
        return in_tree(Path(named).resolve())
    install_db = which("mariadb-install-db") or which("mysql_install_db")
    for name in _NAMES:
        path = which(name)
        line = version_line((str(path),)) if path else ""
        if path and install_db and "MariaDB" in line:
            argv = (str(path), "--no-defaults")
            return MariadbProgram(argv, install_db, None, version_number(line), program_key(path, line))
    return None


def in_tree(root: Path) -> MariadbProgram | None:
    tree = read_tree(root, _NAMES)
    line = version_line(tree.argv) if tree else ""
    if tree is None or "MariaDB" not in line:
        return None
    key = program_key(tree.program, line)
    return MariadbProgram((*tree.argv, *tree.places), None, tree.share, version_number(line), key)
