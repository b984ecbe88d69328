"""Fixtures that every test shares: server pairs of each flavour, the fault proxy, and the check that nothing leaks.

Tests that take `flavour` (directly, or through `server_pair`) run once per flavour. A flavour that cannot be started
here is skipped, and the end of the run says so loudly.

Tests run in several processes (make test), and each process takes whole files; session and package fixtures are each
process's own. So nothing here may have a fixed port, a fixed path outside of a temporary directory, or need the machine
for itself; and a parameter that names a test may not be random, since every process must find the same tests.

The servers behind `server_pair` live for the session; a test finds them without user databases and without schema
`hedgerow`, but with a binlog of what went before. A test that restarts, kills or freezes servers takes them from
`start_pair`, which are its own.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import hypothesis
import pytest

from hedgerow.common.mysql import secrets
from hedgerow.common.mysql.connect import Flavour
from hedgerow.dispatcher import metrics
from hedgerow.sandbox.flavours import FLAVOURS, flavour_available
from hedgerow.sandbox.process import running_children
from hedgerow.sandbox.proxy import FaultProxy
from hedgerow.sandbox.servers import Option, Server, ServerPair, start_server_pair
from tests import summary

# Examples are judged by what they do, never by how long they take: machines are shared.
hypothesis.settings.register_profile("hedgerow", deadline=None)
hypothesis.settings.load_profile("hedgerow")


def _allow_secrets() -> None:
    secrets.restrict([tempfile.gettempdir()], secrets.DEFAULT_PREFIX)


_allow_secrets()

DRILLS = "tests/drills/"
_SYSTEM_SCHEMAS = ("mysql", "sys", "information_schema", "performance_schema")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """More than there are cores, since a test mostly waits for its servers; at most what their memory allows."""
    return min(len(os.sched_getaffinity(0)) + 1, 8)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """As --dist loadfile, and all drills to one process: they share a cluster, and what they do within the seconds of a
    lease would compete for the same cores with what another drill does."""
    if config.option.dist != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    scheduler: Any = LoadFileScheduling(config, log)
    by_file = scheduler._split_scope
    scheduler._split_scope = lambda test: DRILLS if test.startswith(DRILLS) else by_file(test)
    return scheduler


class StartPair(Protocol):
    def __call__(
        self,
        flavour: Flavour,
        source_options: Mapping[str, Option] | None = None,
        sink_options: Mapping[str, Option] | None = None,
    ) -> ServerPair: ...


@pytest.fixture(scope="session", params=FLAVOURS)
def flavour(request: pytest.FixtureRequest) -> Flavour:
    """Each flavour that can be started here."""
    wanted: Flavour = request.param
    found = flavour_available(wanted)
    if not found.available:
        pytest.skip(str(found))
    return wanted


@pytest.fixture(scope="session")
def _session_pairs() -> Iterator[dict[Flavour, ServerPair]]:
    """Of each flavour that was asked for; they stay while tests of the other flavour run."""
    pairs: dict[Flavour, ServerPair] = {}
    yield pairs
    for pair in pairs.values():
        pair.close()


@pytest.fixture
def server_pair(flavour: Flavour, _session_pairs: dict[Flavour, ServerPair]) -> Iterator[ServerPair]:
    """A running source and sink without user databases. Leave them running: see `start_pair`."""
    if flavour not in _session_pairs:
        _session_pairs[flavour] = start_server_pair(flavour)
    pair = _session_pairs[flavour]
    yield pair
    for server in (pair.source, pair.sink):
        assert server.running, f"a test ended the session's {server.name}: it should use start_pair"
        drop_user_databases(server)


@pytest.fixture
def start_pair() -> Iterator[StartPair]:
    """A factory of fresh pairs, closed after the test."""
    pairs: list[ServerPair] = []

    def start(
        flavour: Flavour,
        source_options: Mapping[str, Option] | None = None,
        sink_options: Mapping[str, Option] | None = None,
    ) -> ServerPair:
        pairs.append(start_server_pair(flavour, source_options, sink_options))
        return pairs[-1]

    yield start
    for pair in pairs:
        pair.close()


@pytest.fixture
def fault_proxy() -> Iterator[Callable[[int], FaultProxy]]:
    """A factory: fault_proxy(target_port) forwards until the test ends."""
    proxies: list[FaultProxy] = []

    def start(target_port: int) -> FaultProxy:
        proxies.append(FaultProxy(target_port))
        return proxies[-1]

    yield start
    for proxy in proxies:
        proxy.close()


@pytest.fixture(autouse=True)
def _every_table_is_replicated(request: pytest.FixtureRequest) -> Iterator[None]:
    """In this process's nodes; clusters of processes look at their own (Cluster.unreplicated)."""

    def caught() -> float:
        return sum(sample.value for family in metrics.UNREPLICATED.collect() for sample in family.samples[:1])

    before = caught()
    yield
    if not request.node.get_closest_marker("unreplicated"):
        assert caught() == before, "rows of a table that matches the filter had no dispatcher"


def drop_user_databases(server: Server) -> None:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET foreign_key_checks = 0")
        cursor.execute("SELECT schema_name FROM information_schema.schemata")
        for (schema,) in cursor.fetchall():
            if schema not in _SYSTEM_SCHEMAS:
                cursor.execute(f"DROP DATABASE `{schema.replace('`', '``')}`")


@pytest.fixture(autouse=True)
def _secrets_are_allowed_again() -> Iterator[None]:
    """A test that runs a node in this process sets what the process may read, as a node does for good."""
    yield
    _allow_secrets()


@pytest.fixture(scope="session", autouse=True)
def _nothing_left_running() -> Iterator[None]:
    yield
    left = running_children()
    assert not left, f"processes that no test stopped: {left}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    summary.write(terminalreporter)
