"""Views, triggers and routines, whose definer is another account, reach a sink with the documented grants."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.cluster import Cluster, CommandFailed
from hedgerow.sandbox.compare import wait_until_equal
from hedgerow.sandbox.servers import Server

pytestmark = pytest.mark.timeout(180)
SCHEMA = "programs"
STATEMENTS = (
    f"CREATE DATABASE {SCHEMA}",
    f"CREATE TABLE {SCHEMA}.t (id INT PRIMARY KEY, v INT)",
    f"CREATE TABLE {SCHEMA}.log (v INT)",
    f"CREATE VIEW {SCHEMA}.v AS SELECT id FROM {SCHEMA}.t",
    f"CREATE DEFINER = nobody@'%' SQL SECURITY INVOKER VIEW {SCHEMA}.w AS SELECT id FROM {SCHEMA}.t",
    f"CREATE TRIGGER {SCHEMA}.tr AFTER INSERT ON {SCHEMA}.t FOR EACH ROW INSERT INTO {SCHEMA}.log VALUES (NEW.v)",
    f"CREATE PROCEDURE {SCHEMA}.p() INSERT INTO {SCHEMA}.t VALUES (7, 7)",
    f"CREATE DEFINER = nobody@'%' FUNCTION {SCHEMA}.f(a INT) RETURNS INT RETURN a + 1",
    f"INSERT INTO {SCHEMA}.t VALUES (1, 1), (2, 2)",
    f"CALL {SCHEMA}.p()",
)


@pytest.fixture(scope="module")
def cluster(flavour: Flavour) -> Iterator[Cluster]:
    with Cluster(flavour, nodes=1) as cluster:
        yield cluster


def test_views_triggers_and_routines(cluster: Cluster) -> None:
    source, sink = cluster.pair.source, cluster.pair.sink
    cluster.create("programs", "--filter", f"{SCHEMA}.*")
    with source.connect() as connection, connection.cursor() as cursor:
        for statement in STATEMENTS:
            cursor.execute(statement)
    comparison = wait_until_equal(source.root, sink.root, SCHEMA, seconds=60)
    assert comparison.equal, f"{comparison}\n{cluster.get('programs')['error']}"
    assert _programs(sink) == _programs(source)
    assert len(_programs(source)) == 5
    assert cluster.get("programs")["state"] == "normal"


def test_a_second_changefeed_into_the_same_tables(cluster: Cluster) -> None:
    with pytest.raises(CommandFailed, match="changefeed programs") as refused:
        cluster.create("again", "--filter", f"{SCHEMA}.t")
    assert refused.value.exit_code == 5
    cluster.create("beside", "--filter", "elsewhere.*")
    with pytest.raises(CommandFailed, match="changefeed programs"):
        cluster.command("changefeed", "update", "beside", "--filter", f"{SCHEMA}.*")
    assert cluster.get("beside")["filter"] == ["elsewhere.*"]


def test_what_preflight_warns_of_is_shown(cluster: Cluster) -> None:
    """With an earlier start, tables that do not match are only a warning: it must not go unseen."""
    created = cluster.create("typo", "--filter", "typpo.*")
    assert any("matches no table" in warning["found"] for warning in created["warnings"])
    assert cluster.get("typo")["warnings"] == created["warnings"]
    for server in (cluster.pair.source, cluster.pair.sink):
        with server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE IF NOT EXISTS typo")
            cursor.execute("CREATE TABLE IF NOT EXISTS typo.t (id INT PRIMARY KEY)")
    cluster.command("changefeed", "update", "typo", "--filter", "typo.*")
    assert not any("typpo" in warning["found"] for warning in cluster.get("typo")["warnings"])


def _programs(server: Server) -> dict[str, object]:
    """SHOW CREATE of each view, trigger and routine, definers included."""
    shown: dict[str, object] = {}
    with server.connect() as connection, connection.cursor() as cursor:
        for kind, name, at in (
            ("VIEW", "v", 1),
            ("VIEW", "w", 1),
            ("TRIGGER", "tr", 2),
            ("PROCEDURE", "p", 2),
            ("FUNCTION", "f", 2),
        ):
            cursor.execute(f"SHOW CREATE {kind} {SCHEMA}.{name}")
            shown[name] = cursor.fetchall()[0][at]
    return shown
