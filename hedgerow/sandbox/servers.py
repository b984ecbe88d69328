"""MySQL and MariaDB servers on the loopback interface, each in its own temporary directory.

A Server owns its process, its directory and its accounts. It keeps its port over restarts. The first server of a
version on a machine takes some seconds: the initialised data directory is kept as a template in the user's cache and
copied from then on. Settings are a source's (binlog on, ROW, GTIDs on MySQL), small, and not durable against a power
failure, which a process killed by SIGKILL does not notice; every option can be overridden.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pymysql
from pymysql.connections import Connection

from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.accounts import ROOT_USER, SINK_USER, SOURCE_USER, Access, password_file, write_accounts
from hedgerow.sandbox.flavours import Program, require
from hedgerow.sandbox.ports import free_port
from hedgerow.sandbox.process import ManagedProcess, SandboxError, remove_directory, temporary_directory

Option = str | int | bool | None
START_SECONDS = 60.0
_TEMPLATE_LAYOUT = 1  # raise when what `initialise` makes changes

_OPTIONS: dict[str, Option] = {
    "bind_address": "127.0.0.1",
    "skip_name_resolve": True,
    "log_bin": "binlog",
    "binlog_format": "ROW",
    "innodb_buffer_pool_size": "64M",
    "innodb_flush_log_at_trx_commit": 2,
    "sync_binlog": 0,
    "max_connections": 200,
    "character_set_server": "utf8mb4",
    "log_bin_trust_function_creators": True,  # a sink's account creates triggers and functions, and has no SUPER
}


def render_options(options: Mapping[str, Option]) -> list[str]:
    """As command-line options: None leaves one out, True is a bare flag, False is its `skip-`."""
    rendered = []
    for name, value in options.items():
        dashed = name.replace("_", "-")
        if value is True:
            rendered.append(f"--{dashed}")
        elif value is False:
            rendered.append(f"--skip-{dashed}")
        elif value is not None:
            rendered.append(f"--{dashed}={value}")
    return rendered


class Server:
    """One database server. `options` (system variables by name) override what a source needs, see render_options:
    {"binlog_format": "STATEMENT"}, {"log_bin": False}, {"sync_binlog": 1}. They can be changed between restarts.
    `program`: of this version, else of the one that is found first."""

    def __init__(
        self,
        flavour: Flavour,
        name: str = "server",
        options: Mapping[str, Option] | None = None,
        program: Program | None = None,
    ) -> None:
        self.flavour: Flavour = flavour
        self.name = f"{flavour} {name}"
        self.options: dict[str, Option] = dict(options or {})
        self.program: Program = program or require(flavour)
        self.port = free_port()
        self.server_id = self.port  # unique on this machine
        self.directory = temporary_directory(f"{flavour}-{name}")
        self.log = self.directory / "server.log"
        self._process = ManagedProcess([], name=self.name, log=self.log)
        self._accounts: Path | None = None

    # -- accounts -----------------------------------------------------------------------------------------------------

    @property
    def root(self) -> Access:
        """All rights: for tests, workloads and comparisons."""
        return self.account(ROOT_USER)

    def account(self, user: str) -> Access:
        key = self.directory / "data" / "public_key.pem" if self.flavour == "mysql" else None
        return Access(self.port, user, password_file(self.directory, user), public_key=key)

    def connect(self, **options: Any) -> Connection[Any]:
        """As root; options as for Access.connect."""
        return self.root.connect(**options)

    # -- life ---------------------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.running

    def start(self) -> None:
        """Start and wait until the server answers. SandboxError with the log's end if it does not."""
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Start without waiting."""
        options: dict[str, Option] = {
            **_OPTIONS,
            **self.program.options,
            "server_id": self.server_id,
            "datadir": str(self.directory / "data"),
            "port": self.port,
            "socket": str(self.directory / "s"),
            "pid_file": str(self.directory / "pid"),
            # A server that starts deletes what looks like its leftovers in tmpdir: also the live files of another one.
            "tmpdir": str(self.directory / "tmp"),
        }
        if self._accounts is None:
            (self.directory / "tmp").mkdir()
            copy_template(self.program, self.flavour, self.directory / "data")
            self._accounts = write_accounts(self.directory, self.flavour, self.program.version)
            options["init_file"] = str(self._accounts)
        options.update(self.options)
        self._process.argv = self.program.command(render_options(options))
        self._process.start()

    def wait_ready(self) -> None:
        self._process.wait_ready(self._answers, START_SECONDS)

    def stop(self) -> None:
        """Shut down in order. Nothing happens if it is not running."""
        self._process.terminate()

    def restart(self) -> None:
        self.stop()
        self.start()

    def kill(self) -> None:
        """SIGKILL: a crash of the server, not of the machine."""
        self._process.kill()

    def freeze(self) -> None:
        self._process.freeze()

    def thaw(self) -> None:
        self._process.thaw()

    def close(self) -> None:
        """Kill if running, and remove every file."""
        self._process.kill()
        remove_directory(self.directory)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _answers(self) -> bool:
        # Only this server knows root's password: another one on the port is not mistaken for it.
        try:
            self.connect(connect_timeout=2).close()
        except pymysql.MySQLError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class ServerPair:
    """A source and a sink of one flavour. Both have every account and a binlog, so a pair can be reversed."""

    source: Server
    sink: Server

    @property
    def flavour(self) -> Flavour:
        return self.source.flavour

    @property
    def source_uri(self) -> str:
        return self.source.account(SOURCE_USER).uri

    @property
    def sink_uri(self) -> str:
        return self.sink.account(SINK_USER).uri

    def reversed(self) -> ServerPair:
        return ServerPair(self.sink, self.source)

    def close(self) -> None:
        self.source.close()
        self.sink.close()


def start_server_pair(
    flavour: Flavour,
    source_options: Mapping[str, Option] | None = None,
    sink_options: Mapping[str, Option] | None = None,
    *,
    source_program: Program | None = None,
    sink_program: Program | None = None,
) -> ServerPair:
    """Start both; the caller closes the pair. SandboxError when the flavour is missing or a server does not start."""
    source = Server(flavour, "source", source_options, source_program)
    pair = ServerPair(source, Server(flavour, "sink", sink_options, sink_program))
    try:
        pair.source.launch()
        pair.sink.launch()
        pair.source.wait_ready()
        pair.sink.wait_ready()
    except BaseException:
        pair.close()
        raise
    return pair


def copy_template(program: Program, flavour: Flavour, datadir: Path) -> None:
    """Give a new server its data directory."""
    name = f"{flavour}-{program.version}-{program.key}-{_TEMPLATE_LAYOUT}"
    template = _template_directory() / name
    if not template.is_dir():
        # Others that want the same one wait for it; the lock ends with its process.
        with open(template.with_name(f"{name}.lock"), "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not template.is_dir():
                _make_template(program, template)
    # cp knows sparse files and reflinks, which are most of what an empty data directory is.
    copied = subprocess.run(
        ["cp", "-a", "--sparse=always", "--reflink=auto", str(template), str(datadir)],
        capture_output=True,
        text=True,
        check=False,
    )
    if copied.returncode != 0:
        raise SandboxError(f"cannot copy {template} to {datadir}: {copied.stderr.strip()}")


def _make_template(program: Program, template: Path) -> None:
    work = Path(tempfile.mkdtemp(prefix="new-", dir=template.parent))
    try:
        program.initialise(work / "data", work / "log")
        (work / "data" / "auto.cnf").unlink(missing_ok=True)  # MySQL's server_uuid: every server makes its own
        (work / "data").rename(template)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _template_directory() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    for base in (Path(cache), Path(tempfile.gettempdir()) / f"hedgerow-cache-{os.getuid()}"):
        directory = base / "hedgerow" / "sandbox"
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError:
            continue
        if os.access(directory, os.W_OK):
            return directory
    raise SandboxError(f"neither {cache} nor {tempfile.gettempdir()} can be written")
