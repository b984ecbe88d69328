"""Preflight of tables, on real servers of both flavours: what is missing or differs is found, with what fixes it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hedgerow.common.binlog.position import Position
from hedgerow.common.errors import PreflightFailed, SinkRefused
from hedgerow.common.ledger.ownership import raise_fence
from hedgerow.common.ledger.progress import insert_progress
from hedgerow.common.ledger.schema import ensure_schema
from hedgerow.common.mysql.filter import TableFilter
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.coordinator.preflight import preflight
from hedgerow.sandbox.accounts import GRANTS, SOURCE_USER
from hedgerow.sandbox.servers import ServerPair
from tests.integration.coordinator.preflight.checks import TABLES, check, load, only, problems, run


@pytest.mark.parametrize("start", ["now", "earliest"])
def test_missing_tables_matter_only_now(server_pair: ServerPair, start: str) -> None:
    run(server_pair.source, *TABLES)
    if start == "now":
        problem = only(problems(server_pair))
        assert "lacks 3 tables: shop.child, shop.parent, shop.wide" in problem.found
        assert "mysqldump --no-data shop child parent wide" in problem.fix
    else:
        assert "lacks 3 tables" in check(server_pair, start=start).warnings[0].found


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("DROP COLUMN b", "column 2 is c instead of b"),
        ("ADD COLUMN z INT", "column 6, z int"),
        ("MODIFY a BIGINT", "column a is bigint"),
        ("MODIFY c DECIMAL(10,3)", "column c is decimal(10,3) instead of decimal(10,2)"),
        ("MODIFY b BIGINT", "instead of bigint"),
        (
            "MODIFY d VARCHAR(9) CHARACTER SET utf8mb4",
            "character set utf8mb4 instead of varchar(9) character set latin1",
        ),
        ("DROP COLUMN e, ADD COLUMN e INT", "generated stored"),
        ("MODIFY b BIGINT UNSIGNED AFTER c", "column 2 is c instead of b"),
        ("MODIFY b BIGINT UNSIGNED NOT NULL", "column b is NOT NULL instead of NULL"),
        ("ENGINE=MyISAM", "ENGINE=MyISAM, which is not transactional"),
    ],
)
def test_incompatible_tables(server_pair: ServerPair, change: str, found: str) -> None:
    load(server_pair)
    run(server_pair.sink, f"ALTER TABLE shop.wide {change}")
    problem = only(problems(server_pair))
    assert "shop.wide" in problem.found
    assert found in problem.found
    assert "ALTER TABLE `shop`.`wide`" in problem.fix
    assert check(server_pair, "shop.*", "!shop.wide").warnings == ()


def test_cascades_must_be_alike(server_pair: ServerPair) -> None:
    load(server_pair)
    with server_pair.source.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SHOW GLOBAL VARIABLES LIKE 'innodb_native_foreign_keys'")
        rows = cursor.fetchall()
    if rows and rows[0][1] != "ON":  # MySQL 9.6 and later log what cascades do
        run(server_pair.sink, "ALTER TABLE shop.child DROP FOREIGN KEY tie")
        assert check(server_pair).warnings == ()
        return
    left_out = only(problems(server_pair, "shop.child"))
    assert "filter leaves shop.parent out" in left_out.found
    run(server_pair.sink, "ALTER TABLE shop.child DROP FOREIGN KEY tie")
    missing = only(problems(server_pair))
    assert "foreign key tie of shop.child to shop.parent" in missing.found
    assert "ON DELETE CASCADE; on the sink" in missing.fix
    run(
        server_pair.sink,
        "ALTER TABLE shop.child ADD CONSTRAINT tie FOREIGN KEY (parent) REFERENCES shop.parent (id) ON DELETE SET NULL",
    )
    assert len(problems(server_pair)) == 2


@pytest.mark.parametrize("start", ["now", "earliest"])
def test_a_table_that_another_changefeed_replicates(server_pair: ServerPair, start: str) -> None:
    load(server_pair)
    position = Position(file="binlog.000001", offset=4, source_id="elsewhere")
    with server_pair.sink.connect() as connection:
        ensure_schema(connection)
        raise_fence(connection, "theirs", 1, "n")
        insert_progress(connection, "theirs", 1, ["*", "shop.wide", "shop.child", "away.t"], position)
        raise_fence(connection, "ours", 1, "n")
        with pytest.raises(SinkRefused, match=r"shop\.wide \(by changefeed uid theirs\).*DELETE FROM"):
            insert_progress(connection, "ours", 1, ["*", "shop.parent", "shop.wide"], position)
        insert_progress(connection, "theirs", 1, ["shop.wide"], position)  # its own
    found = only(problems(server_pair, start=start))
    assert "the changefeed with uid theirs (of another cluster) already replicates shop.child, shop.wide" in found.found
    uris = ServerUri.parse(server_pair.source_uri), ServerUri.parse(server_pair.sink_uri)
    with pytest.raises(PreflightFailed, match=r"(?s)first already replicates shop\.child.*remove changefeed first"):
        preflight(*uris, TableFilter.parse(["shop.*"]), start, "second", {"theirs": "first"})
    preflight(*uris, TableFilter.parse(["shop.*"]), start, "first", {"theirs": "first"})  # itself, updated
    check(server_pair, "shop.parent", start=start)
    statement = found.fix.partition("DELETE")[2].partition(";")[0]
    run(server_pair.sink, f"DELETE{statement}")
    check(server_pair, start=start)


def test_tables_that_the_source_does_not_show(server_pair: ServerPair, tmp_path: Path) -> None:
    """They would be in no list: every schema of the filter has to be readable."""
    load(server_pair)
    secret = tmp_path / "password"
    secret.write_text("One-pa55word")
    grants = [grant.replace(", SELECT", "") for grant in GRANTS[server_pair.flavour][SOURCE_USER]]
    run(
        server_pair.source,
        "CREATE USER 'some'@'127.0.0.1' IDENTIFIED BY 'One-pa55word'",
        *(f"GRANT {grant} TO 'some'@'127.0.0.1'" for grant in grants),
        "GRANT SELECT ON shop.wide TO 'some'@'127.0.0.1'",
    )
    source = replace(server_pair.source.root, user="some", password_file=secret).uri
    for rules, level in ((("shop.wi*",), "`shop`.*"), (("*.wide",), "*.*"), (("s?op.*",), "*.*")):
        problem = only(problems(server_pair, *rules, start="earliest", source=source))
        assert "lacks SELECT" in problem.found
        assert problem.fix == f"GRANT SELECT ON {level} TO 'some'@'127.0.0.1';"
    run(server_pair.source, "GRANT SELECT ON `shop`.* TO 'some'@'127.0.0.1';")
    check(server_pair, "shop.*", "!other.*", source=source)
    run(server_pair.source, "DROP USER 'some'@'127.0.0.1'")


def test_a_filter_that_matches_nothing(server_pair: ServerPair) -> None:
    load(server_pair)
    assert "filter (nowhere.*) matches no table" in only(problems(server_pair, "nowhere.*")).found
