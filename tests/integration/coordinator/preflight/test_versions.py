"""A version that is too old is refused by name, before anything is created."""

from __future__ import annotations

import contextlib

import pytest

from hedgerow.common.errors import PreflightFailed
from hedgerow.common.mysql.connect import parse_version
from hedgerow.common.mysql.filter import TableFilter
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.coordinator.preflight.run import preflight
from hedgerow.sandbox.flavours import programs
from hedgerow.sandbox.servers import start_server_pair


def test_mariadb_10_5_is_refused() -> None:
    old = next((each for each in programs("mariadb") if parse_version(each.version) < (10, 6, 0)), None)
    if old is None:
        pytest.skip("MariaDB 10.5 is not here: make servers NAMES=mariadb-10.5")
    pair = start_server_pair("mariadb", source_program=old, sink_program=old)
    with contextlib.closing(pair), pytest.raises(PreflightFailed) as refused:
        preflight(ServerUri.parse(pair.source_uri), ServerUri.parse(pair.sink_uri), TableFilter.parse([]), "earliest")
    found = [problem.found.partition(" is ")[2] for problem in refused.value.problems]
    assert found == [f"MariaDB {old.version}, which is too old"] * 2
    assert {problem.fix for problem in refused.value.problems} == {"upgrade it to 10.6 or later"}
