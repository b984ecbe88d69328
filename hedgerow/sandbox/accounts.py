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

from hedgerow.common.mysql.connect import Flavour, parse_version

SOURCE_USER = "hedgerow_source"
SINK_USER = "hedgerow_sink"
ROOT_USER = "root"

# DDL and DML on the replicated schemas; they are not known beforehand, hence global. A real sink can name its schemas.
_TABLES = (
    "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, TRIGGER, LOCK TABLES, "
    "CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, EVENT"
)

_APPLIER = "REPLICATION_APPLIER"
_DEFINERS = "SET_ANY_DEFINER, ALLOW_NONEXISTENT_DEFINER, SYSTEM_USER"

GRANTS: dict[Flavour, dict[str, tuple[str, ...]]] = {
    "mariadb": {
        SOURCE_USER: ("REPLICATION SLAVE, BINLOG MONITOR, SELECT ON *.*",),
        SINK_USER: (
            f"BINLOG REPLAY, SET USER, PROCESS, {_TABLES}, DELETE HISTORY ON *.*",
            "REPLICATION SLAVE, BINLOG MONITOR ON *.*",
            "ALL ON `hedgerow`.*",
        ),
    },
    "mysql": {
        SOURCE_USER: ("REPLICATION SLAVE, REPLICATION CLIENT, SELECT ON *.*",),
        SINK_USER: (
            f"PROCESS, {_TABLES} ON *.*",
            f"{_APPLIER}, SESSION_VARIABLES_ADMIN, {_DEFINERS} ON *.*",
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


def grants_of(flavour: Flavour, version: str, user: str) -> tuple[str, ...] | None:
    """The user's grants, as this version of the server calls them; None for root."""
    grants = GRANTS[flavour].get(user)
    if grants is not None and flavour == "mysql":
        if parse_version(version) < (8, 2, 0):
            grants = tuple(grant.replace(_DEFINERS, "SET_USER_ID, SYSTEM_USER") for grant in grants)
        if parse_version(version) < (8, 0, 18):
            grants = tuple(grant.replace(_APPLIER, "BINLOG_ADMIN").replace(", SYSTEM_USER", "") for grant in grants)
    return grants


def write_accounts(directory: Path, flavour: Flavour, version: str) -> Path:
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
        grants = grants_of(flavour, version, user)
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
