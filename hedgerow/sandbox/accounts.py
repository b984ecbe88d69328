"""The accounts of a sandbox server, and exactly the grants that Hedgerow needs on a source and on a sink.

The same lists are in the documentation of grants: what is tested here is what users are told. Both accounts exist on
every server, so that a pair can be reversed. Source: MySQL manual 8.2.2, MariaDB knowledge base "GRANT".
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pymysql
from pymysql.connections import Connection

from common.mysql import Flavour

SOURCE_USER = "hedgerow_source"
SINK_USER = "hedgerow_sink"
ROOT_USER = "root"

# DDL and DML on the replicated schemas; they are not known beforehand, hence global. A real sink can name its schemas.
_TABLES = (
    "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, TRIGGER, LOCK TABLES, "
    "CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, EVENT"
)

GRANTS: dict[Flavour, dict[str, tuple[str, ...]]] = {
    "mariadb": {
        SOURCE_USER: ("REPLICATION SLAVE, BINLOG MONITOR, SELECT ON *.*",),
        SINK_USER: (
            f"BINLOG REPLAY, PROCESS, {_TABLES}, DELETE HISTORY ON *.*",
            "REPLICATION SLAVE, BINLOG MONITOR ON *.*",
            "ALL ON `hedgerow`.*",
        ),
    },
    "mysql": {
        SOURCE_USER: ("REPLICATION SLAVE, REPLICATION CLIENT, SELECT ON *.*",),
        SINK_USER: (
            f"PROCESS, {_TABLES} ON *.*",
            "BINLOG_ADMIN, SESSION_VARIABLES_ADMIN ON *.*",
            "REPLICATION SLAVE, REPLICATION CLIENT ON *.*",
            "ALL ON `hedgerow`.*",
        ),
    },
}


@dataclass(frozen=True, slots=True)
class Access:
    """An address with an account. The password is kept out of repr. `public_key`: of a MySQL server, whose accounts
    are shown to nobody else."""

    port: int
    user: str
    password_file: Path
    host: str = "127.0.0.1"
    public_key: Path | None = None

    @property
    def password(self) -> str:
        return self.password_file.read_text().strip()

    @property
    def uri(self) -> str:
        """As users write it: the password stays in its file."""
        key = f"&server_public_key={self.public_key}" if self.public_key else ""
        return f"mysql://{self.user}@{self.host}:{self.port}/?password_file={self.password_file}{key}"

    def at(self, host: str, port: int) -> Access:
        """The same account behind another address: a proxy."""
        return replace(self, host=host, port=port)

    def connect(self, *, database: str | None = None, **options: Any) -> Connection[Any]:
        """A new connection, autocommit and utf8mb4 unless the options (those of pymysql.connect) say otherwise."""
        arguments = {"autocommit": True, "charset": "utf8mb4", "connect_timeout": 5, **options}
        return pymysql.connect(
            host=self.host, port=self.port, user=self.user, password=self.password, database=database, **arguments
        )


def write_accounts(directory: Path, flavour: Flavour) -> Path:
    """Make new passwords, one file per account, and the SQL for --init-file. It never reaches the binlog."""
    lines = ["SET sql_log_bin = 0;"]
    for user in (ROOT_USER, SOURCE_USER, SINK_USER):
        password = secrets.token_urlsafe(12)
        file = password_file(directory, user)
        file.touch(mode=0o600)
        file.write_text(password + "\n")
        name = f"'{user}'@'127.0.0.1'"
        lines.append(f"DROP USER IF EXISTS {name};")  # mariadb-install-db makes a root without password
        lines.append(f"CREATE USER {name} IDENTIFIED BY '{password}';")
        grants = GRANTS[flavour].get(user)
        if grants is None:
            lines.append(f"GRANT ALL ON *.* TO {name} WITH GRANT OPTION;")
        else:
            lines.extend(f"GRANT {grant} TO {name};" for grant in grants)
    script = directory / "accounts.sql"
    script.touch(mode=0o600)
    script.write_text("\n".join(lines) + "\n")
    return script


def password_file(directory: Path, user: str) -> Path:
    return directory / f"{user}.password"
