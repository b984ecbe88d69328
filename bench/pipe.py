"""The servers' own client programs as a contender: `mysqlbinlog SOURCE | mysql SINK`, as one does it by hand.

One connection executes the binlog's transactions one after the other. It reads what there is and ends, so it does not
take part in what is measured live.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from bench.command import CommandLine
from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.flavours import Program
from hedgerow.sandbox.programs import version_line, which

NAME = "binlog pipe"
_READ = "--defaults-file={source_defaults}", "--read-from-remote-server", "--to-last-log", "--start-position={offset}"
_APPLY = "--defaults-file={sink_defaults}", "--binary-mode"
# Both flavours of a program without TLS, which the other contenders do not use either on the loopback interface.
_PLAIN: dict[Flavour, tuple[str, ...]] = {
    "mariadb": ("--skip-ssl",),
    "mysql": ("--ssl-mode=DISABLED", "--get-server-public-key"),
}


@dataclass(frozen=True, slots=True)
class _Tool:
    """A client program, and whose it is."""

    argv: tuple[str, ...]
    flavour: Flavour


def find_pipe(flavour: Flavour, program: Program) -> CommandLine | str:
    """Of programs that are beside the server's or on PATH; otherwise what is missing."""
    reads = {"mariadb": ("mariadb-binlog", "mysqlbinlog"), "mysql": ("mysqlbinlog",)}[flavour]
    reader = _find(program, reads, (flavour,))
    applier = _find(program, ("mysql", "mariadb"), (flavour, "mariadb"))  # MariaDB's client talks to MySQL too
    if reader is None:
        whose = {"mariadb": "MariaDB's mariadb-binlog", "mysql": "MySQL's mysqlbinlog"}[flavour]
        return f"{NAME} is left out: {whose} is not beside the server or on PATH"
    if applier is None:
        return f"{NAME} is left out: neither a mysql nor a mariadb client is beside the server or on PATH"
    annotations = ("--skip-annotate-row-events",) if flavour == "mariadb" else ()
    read = (*_quoted(reader.argv), _READ[0], *_PLAIN[reader.flavour], *_READ[1:], *annotations, "{file}")
    apply = (*_quoted(applier.argv), _APPLY[0], *_PLAIN[applier.flavour], *_APPLY[1:])
    return CommandLine(NAME, f"{' '.join(read)} | {' '.join(apply)}", live=False)


def _find(program: Program, names: tuple[str, ...], flavours: tuple[Flavour, ...]) -> _Tool | None:
    """The first of the first flavour, else of the next."""
    server = program.command([])
    at = next(index for index, word in enumerate(server) if Path(word).name in ("mariadbd", "mysqld"))
    beside = [directory / name for name in names for directory in _directories(Path(server[at]))]
    found = [(*server[:at], str(path)) for path in beside if path.is_file()]  # a tree has a loader of its own
    found += [(str(path),) for path in map(which, names) if path is not None]
    tools = [_Tool(argv, whose) for argv in found if (whose := _flavour(version_line(argv))) is not None]
    return next((tool for flavour in flavours for tool in tools if tool.flavour == flavour), None)


def _directories(server: Path) -> tuple[Path, Path]:
    return server.parent, server.parent.parent / "bin"


def _flavour(line: str) -> Flavour | None:
    """By `--version`: MySQL's programs have the server's number, MariaDB's their own, as `Ver 3.5` or `Ver 15.1`."""
    number = re.search(r"Ver\s+([\d.]+)", line)
    if number is None:
        return None
    return "mysql" if number.group(1).count(".") == 2 and "MariaDB" not in line else "mariadb"


def _quoted(argv: tuple[str, ...]) -> list[str]:
    return [shlex.quote(word) for word in argv]
