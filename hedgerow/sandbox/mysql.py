"""MySQL as a sandbox server: a tree made by `make mysql`, or a mysqld on PATH if that is MySQL.

The tree is a minimal system of another Debian release. Its mysqld is not run in a chroot: it is started through the
tree's own dynamic loader, with the tree's libraries. So it needs no root, and its data may be in any directory.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hedgerow.sandbox.programs import program_key, run_to_end, version_line, version_number, which

ROOT_VARIABLE = "HEDGEROW_MYSQL_ROOT"


@dataclass(frozen=True, slots=True)
class MysqlProgram:
    argv: tuple[str, ...]
    version: str
    key: str
    options: Mapping[str, str] = field(
        default_factory=lambda: {
            "gtid_mode": "ON",
            "enforce_gtid_consistency": "ON",
            "mysqlx": "OFF",
            "secure_file_priv": "",
            "innodb_redo_log_capacity": "32M",
        }
    )

    def initialise(self, datadir: Path, log: Path) -> None:
        run_to_end(
            [*self.command([]), "--initialize-insecure", f"--datadir={datadir}", "--innodb-redo-log-capacity=32M"], log
        )

    def command(self, options: Sequence[str]) -> list[str]:
        return [*self.argv, f"--user={getpass.getuser()}", *options]


def find() -> MysqlProgram | None:
    trees = [os.environ.get(ROOT_VARIABLE, ""), ".mysql/root", str(Path(__file__).parents[2] / ".mysql/root")]
    for tree in trees:
        program = _in_tree(Path(tree).resolve()) if tree else None
        if program is not None:
            return program
    path = which("mysqld")
    return None if path is None else _program(path, [str(path)], ["--no-defaults"])


def _in_tree(tree: Path) -> MysqlProgram | None:
    mysqld = tree / "usr/sbin/mysqld"
    loaders = sorted(tree.glob("usr/lib/*-linux-gnu*/ld-linux*.so.*"))
    if not (mysqld.is_file() and loaders):
        return None
    libraries = f"{loaders[0].parent}:{tree}/usr/lib/mysql/private"
    argv = [str(loaders[0]), "--library-path", libraries, str(mysqld)]
    places = [
        "--no-defaults",
        f"--basedir={tree}/usr",
        f"--lc-messages-dir={tree}/usr/share/mysql",
        f"--character-sets-dir={tree}/usr/share/mysql/charsets",
        f"--plugin-dir={tree}/usr/lib/mysql/plugin",
    ]
    return _program(mysqld, argv, places)


def _program(mysqld: Path, argv: list[str], places: list[str]) -> MysqlProgram | None:
    line = version_line(tuple(argv))
    if not line or "MariaDB" in line:
        return None
    return MysqlProgram((*argv, *places), version_number(line), program_key(mysqld, line))
