"""System-versioned tables between versions that disagree about the end of time are refused: nothing would be found."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hedgerow.common.mysql.connect import parse_version
from hedgerow.sandbox.cluster import Cluster, CommandFailed
from hedgerow.sandbox.flavours import programs, require
from hedgerow.sandbox.servers import ServerPair, start_server_pair

pytestmark = pytest.mark.timeout(180)

VERSIONED = "CREATE TABLE vv.t (id INT PRIMARY KEY, v INT) WITH SYSTEM VERSIONING"


@pytest.fixture
def upgrade() -> Iterator[ServerPair]:
    """From a version before 11.5 to a later one."""
    usual = require("mariadb")
    newer = [program for program in programs("mariadb") if parse_version(program.version) >= (11, 5)]
    if not newer or parse_version(usual.version) >= (11, 5):
        pytest.skip("NOT TESTED: MariaDB 11.5 or later is not here beside an older one (make servers)")
    pair = start_server_pair("mariadb", sink_program=newer[0])
    yield pair
    pair.close()


def test_both_ways_to_one_are_closed(upgrade: ServerPair) -> None:
    with Cluster("mariadb", nodes=1, pair=upgrade) as cluster:
        cluster.create("v", "--filter", "vv.*")
        with upgrade.source.connect() as connection:
            for statement in ("CREATE DATABASE vv", "CREATE TABLE vv.plain (a INT PRIMARY KEY)", VERSIONED):
                connection.query(statement)
        error = cluster.wait_for("v", state="failed", seconds=60)["error"]
        assert error["code"] == "DdlFailed"
        assert "would be history there, and not be found. Way on: upgrade the older one" in error["message"]
        cluster.command("changefeed", "remove", "v", "--yes")
        with pytest.raises(CommandFailed, match=r"vv\.t: current rows of a system-versioned table"):
            cluster.create("v", "--filter", "vv.*")
