"""MySQL as a sandbox server: a tree made by `make mysql`, or a mysqld on PATH if that is MySQL."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hedgerow.sandbox.programs import program_key, run_to_end, version_line, version_number, which
from hedgerow.sandbox.trees import read_tree

ROOT_VARIABLE = "HEDGEROW_MYSQL_ROOT"
_REDO_LOG_CAPACITY_SINCE = (8, 0, 30)


@dataclass(frozen=True, slots=True)
class MysqlProgram:
    argv: tuple[str, ...]
    version: str
    key: str

    @property
    def options(self) -> Mapping[str, str]:
        return {
            "gtid_mode": "ON",
            "enforce_gtid_consistency": "ON",
            "mysqlx": "OFF",
            "secure_file_priv": "",
            **self._redo_log(),
        }

    def initialise(self, datadir: Path, log: Path) -> None:
        sizes = [f"--{name.replace('_', '-')}={value}" for name, value in self._redo_log().items()]
        run_to_end([*self.command([]), "--initialize-insecure", f"--datadir={datadir}", *sizes], log)

    def command(self, options: Sequence[str]) -> list[str]:
        return [*self.argv, f"--user={getpass.getuser()}", *options]

    def _redo_log(self) -> dict[str, str]:
        if tuple(int(part) for part in self.version.split(".")) >= _REDO_LOG_CAPACITY_SINCE:
            return {"innodb_redo_log_capacity": "32M"}
        return {"innodb_log_file_size": "16M"}


def find() -> MysqlProgram | None:
    trees = [os.environ.get(ROOT_VARIABLE, ""), ".mysql/root", str(Path(__file__).parents[2] / ".mysql/root")]
    for tree in trees:
        program = in_tree(Path(tree).resolve()) if tree else None
        if program is not None:
            return program
    path = which("mysqld")
    return None if path is None else _program(path, (str(path),), ("--no-defaults",))


def in_tree(root: Path) -> MysqlProgram | None:
    tree = read_tree(root, ("mysqld",))
    return None if tree is None else _program(tree.program, tree.argv, tree.places)


def _program(mysqld: Path, argv: tuple[str, ...], places: tuple[str, ...]) -> MysqlProgram | None:
    line = version_line(argv)
    if not line or "MariaDB" in line:
        return None
    return MysqlProgram((*argv, *places), version_number(line), program_key(mysqld, line))
