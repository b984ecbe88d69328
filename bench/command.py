"""Anything that a command line can start, as a contender: `--contender NAME='COMMAND'`.

The shell runs the command when the sink has the tables and the source has the binlog. It is to apply all that comes
after the given position, in any way; it may end when it has. The shell that ran it stays until the run is over, so that
the CPU of processes that have ended is not lost (proc(5), cutime).
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.binlog import Place
from bench.contender import BenchError
from bench.measure import Usage, tree_usage
from hedgerow.sandbox.accounts import Access
from hedgerow.sandbox.process import ManagedProcess, remove_directory, temporary_directory
from hedgerow.sandbox.servers import Server

PLACEHOLDERS: Mapping[str, str] = {
    "source_uri": "as Hedgerow takes it, the password in a file",
    "sink_uri": "the same of the sink",
    "source_host": "",
    "source_port": "",
    "sink_host": "",
    "sink_port": "",
    "source_defaults": "a file for --defaults-file of the servers' own client programs, with address and account",
    "sink_defaults": "the same of the sink",
    "flavour": "mariadb or mysql",
    "position": "the GTID set after which replication begins",
    "file": "of the source's binlog, the same place",
    "offset": "in that file",
}
_PLACEHOLDER = re.compile(r"(?<!\$)\{(\w+)\}")  # ${NAME} is the shell's
_WAIT = "({command}\n)\necho $? >{ended}\nexec sleep infinity"


class BadCommand(ValueError):
    """A contender's command line that cannot be used."""


@dataclass(frozen=True, slots=True)
class CommandLine:
    """Runs as root of both servers. `live`: it goes on with what is written after it was started, and takes part where
    that is measured."""

    name: str
    command: str
    live: bool = True

    @property
    def native(self) -> bool:
        return False

    @contextlib.contextmanager
    def replicate(
        self, source: Server, sink: Server, begin: Place, fetch_to: str | None = None
    ) -> Iterator[CommandSession]:
        directory = temporary_directory("contender")
        session = None
        try:
            values = {
                **_of_server("source", source.root, directory),
                **_of_server("sink", sink.root, directory),
                "flavour": source.flavour,
                "position": begin.gtids,
                "file": begin.file,
                "offset": str(begin.offset),
            }
            session = CommandSession(self.name, fill_in(self.command, values), directory, source, sink)
            yield session
        finally:
            if session is not None:
                session.stop()
            remove_directory(directory)


class CommandSession:
    def __init__(self, name: str, command: str, directory: Path, source: Server, sink: Server) -> None:
        self._name = name
        self._ended = directory / "ended"
        self._done = False
        script = _WAIT.format(command=command, ended=shlex.quote(str(self._ended)))
        passwords = {"SOURCE_PASSWORD": source.root.password, "SINK_PASSWORD": sink.root.password}
        self._process = ManagedProcess(
            ["/bin/sh", "-c", script], name=name, log=directory / "log", env={**os.environ, **passwords}
        )
        self._process.start()

    def check(self) -> None:
        """Called about once a second: what it applied last is visible when it has ended and is asked for once more."""
        if not self._process.running:
            raise BenchError(f"{self._name} was killed: {self._said()}")
        status = self._ended.read_text().strip() if self._ended.exists() else ""
        if self._done or status not in ("", "0"):
            raise BenchError(f"{self._name} ended with {status} before all was applied: {self._said()}")
        self._done = status == "0"

    def _said(self) -> str:
        return self._process.log_tail().strip() or "it said nothing"

    def usage(self) -> Usage | None:
        """Without memory when it has ended: what it had at most is not known any more."""
        used = tree_usage(self._process.pid)
        return Usage(used.cpu_seconds, 0, 0) if self._ended.exists() else used

    def stop(self) -> None:
        """The shell leads a group, which what it started is in, unless it leads one of its own: then it is to end with
        its parent."""
        if self._process.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()


def parse_contender(text: str) -> CommandLine:
    """NAME=COMMAND. Raises BadCommand."""
    name, separator, command = text.partition("=")
    if not separator or not name.strip() or not command.strip():
        raise BadCommand(f"{text!r} is not NAME=COMMAND")
    unknown = sorted(set(_PLACEHOLDER.findall(command)) - PLACEHOLDERS.keys())
    if unknown:
        known = ", ".join(f"{{{each}}}" for each in PLACEHOLDERS)
        raise BadCommand(f"contender {name.strip()}: there is no {{{unknown[0]}}}; there are {known}")
    return CommandLine(name.strip(), command)


def fill_in(command: str, values: Mapping[str, str]) -> str:
    """Values are quoted for the shell where they need it."""
    return _PLACEHOLDER.sub(lambda match: shlex.quote(values[match.group(1)]), command)


def _of_server(role: str, access: Access, directory: Path) -> dict[str, str]:
    defaults = directory / f"{role}.cnf"
    defaults.touch(mode=0o600)
    address = f"host={access.host}\nport={access.port}\nprotocol=tcp\n"
    defaults.write_text(f"[client]\n{address}user={access.user}\npassword={access.password}\n")
    return {
        f"{role}_uri": access.uri,
        f"{role}_host": access.host,
        f"{role}_port": str(access.port),
        f"{role}_defaults": str(defaults),
    }
