"""Which database servers can be started on this machine, and what fixes it where one is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox import mariadb, mysql
from hedgerow.sandbox.process import SandboxError
from hedgerow.sandbox.trees import trees

FLAVOURS: tuple[Flavour, ...] = ("mariadb", "mysql")


class Program(Protocol):
    """An installed database server of one version."""

    @property
    def version(self) -> str: ...

    @property
    def key(self) -> str:
        """Names the template of its data directory: another program or version never shares one."""
        ...

    @property
    def options(self) -> Mapping[str, str]:
        """Options that this flavour needs beyond the common ones."""
        ...

    def initialise(self, datadir: Path, log: Path) -> None:
        """Make a data directory and wait until that is done. SandboxError with the log's end."""
        ...

    def command(self, options: Sequence[str]) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class Availability:
    """Either a program, or the reason why there is none and the command that fixes it."""

    flavour: Flavour
    program: Program | None
    reason: str = ""
    fix: str = ""

    @property
    def available(self) -> bool:
        return self.program is not None

    def __str__(self) -> str:
        if self.program is not None:
            return f"{self.flavour} {self.program.version}"
        return f"{self.flavour} is missing: {self.reason}; fix: {self.fix}"


def flavour_available(flavour: Flavour) -> Availability:
    """Look for one flavour. Never raises."""
    if flavour == "mariadb":
        program: Program | None = mariadb.find()
        reason = "no mariadbd with mariadb-install-db on PATH or in /usr/sbin"
        fix = "make setup (as root), or apt-get install mariadb-server-core"
    else:
        program = mysql.find()
        reason = f"no MySQL tree in .mysql/root or ${mysql.ROOT_VARIABLE}, and no mysqld on PATH that is MySQL"
        fix = "make mysql (as root)"
    return Availability(flavour, program, *(("", "") if program else (reason, fix)))


def flavours_available() -> list[Availability]:
    """Every flavour, the missing ones too. Never raises."""
    return [flavour_available(flavour) for flavour in FLAVOURS]


def programs(flavour: Flavour) -> list[Program]:
    """Every version that can be started here, the one that `require` gives first."""
    default = flavour_available(flavour).program
    in_tree = mariadb.in_tree if flavour == "mariadb" else mysql.in_tree
    found = [default, *(in_tree(root) for root in trees())]
    return list({program.key: program for program in found if program is not None}.values())


def require(flavour: Flavour) -> Program:
    """The program of a flavour. SandboxError with the fix when it is missing."""
    found = flavour_available(flavour)
    if found.program is None:
        raise SandboxError(str(found))
    return found.program
