"""MariaDB as a sandbox server: the distribution's own mariadbd."""

from __future__ import annotations

import getpass
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hedgerow.sandbox.programs import program_key, run_to_end, version_line, version_number, which


@dataclass(frozen=True, slots=True)
class MariadbProgram:
    mariadbd: Path
    install_db: Path
    version: str
    key: str
    options: Mapping[str, str] = field(default_factory=lambda: {"innodb_log_file_size": "16M"})

    def initialise(self, datadir: Path, log: Path) -> None:
        run_to_end(
            [
                str(self.install_db),
                "--no-defaults",
                f"--user={getpass.getuser()}",
                f"--datadir={datadir}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--innodb-log-file-size=16M",
            ],
            log,
        )

    def command(self, options: Sequence[str]) -> list[str]:
        # mariadbd refuses to run as root unless told so, and ignores --user for anybody else.
        return [str(self.mariadbd), "--no-defaults", f"--user={getpass.getuser()}", *options]


def find() -> MariadbProgram | None:
    install_db = which("mariadb-install-db") or which("mysql_install_db")
    for name in ("mariadbd", "mysqld"):
        path = which(name)
        line = version_line((str(path),)) if path else ""
        if path and install_db and "MariaDB" in line:
            return MariadbProgram(path, install_db, version_number(line), program_key(path, line))
    return None
