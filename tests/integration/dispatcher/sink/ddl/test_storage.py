"""Tables that are the same and are stored otherwise: the source's OPTIMIZE is not replicated, and settings differ."""

from __future__ import annotations

import pymysql
import pytest

from hedgerow.common.errors import DdlFailed
from hedgerow.sandbox.servers import ServerPair
from tests.integration.dispatcher.sink.ddl.test_execute import Ddl
from tests.integration.dispatcher.sink.harness import run

MOST_VERSIONS = 255


def add_versions(sink: Ddl) -> None:
    with sink.pair.sink.connect() as connection, connection.cursor() as cursor:
        for number in range(MOST_VERSIONS):
            cursor.execute(f"ALTER TABLE dd.a ADD COLUMN x{number} INT FIRST, ALGORITHM=INSTANT")
            cursor.execute(f"ALTER TABLE dd.a DROP COLUMN x{number}, ALGORITHM=INSTANT")


def test_a_table_that_can_take_no_more_instant_columns(server_pair: ServerPair) -> None:
    """MySQL counts row versions and refuses with 4092; on MariaDB a setting of the sink forbids it, with 1846."""
    sink = Ddl(server_pair)
    run(sink.pair.sink.connect(), "CREATE TABLE dd.a (id INT PRIMARY KEY)", "INSERT INTO dd.a VALUES (1)")
    if sink.pair.flavour == "mysql":
        with pytest.raises(pymysql.MySQLError, match="4092"):
            add_versions(sink)
    else:
        run(sink.pair.sink.connect(), "SET GLOBAL innodb_instant_alter_column_allowed = never")
    try:
        sink.offset = 10
        sink.execute(
            "ALTER TABLE a ADD COLUMN c INT DEFAULT 3 COMMENT 'algorithm=instant', ALGORITHM=INSTANT", touches="a"
        )
        sink.offset = 20
        sink.execute("ALTER TABLE a ADD COLUMN d INT, ALGORITHM=INSTANT", touches="a")
    finally:
        if sink.pair.flavour == "mariadb":
            run(sink.pair.sink.connect(), "SET GLOBAL innodb_instant_alter_column_allowed = DEFAULT")
    assert sink.query("SELECT c, d FROM dd.a") == ((3, None),)
    assert "COMMENT 'algorithm=instant'" in sink.query("SHOW CREATE TABLE dd.a")[0][1]
    assert sink.progress() == {"*": 20}


def test_partitions_whose_instant_columns_differ_are_exchanged_as_the_message_says(server_pair: ServerPair) -> None:
    sink = Ddl(server_pair)
    run(
        sink.pair.sink.connect(),
        "CREATE TABLE dd.p (id INT PRIMARY KEY, v INT) PARTITION BY HASH (id) PARTITIONS 1",
        "CREATE TABLE dd.a (id INT PRIMARY KEY, v INT, c INT)",
        "INSERT INTO dd.p VALUES (1, 1)",
        "ALTER TABLE dd.p ADD c INT, ALGORITHM=INSTANT",
    )
    sink.offset = 10
    statement = "ALTER TABLE p EXCHANGE PARTITION p0 WITH TABLE a"
    if sink.pair.flavour == "mysql":  # MariaDB exchanges them
        with pytest.raises(DdlFailed, match=r"1731.*Execute there: ") as failed:
            sink.execute(statement, touches="p a")
        said = str(failed.value).partition("Execute there: ")[2].partition(" then resume")[0]
        run(sink.pair.sink.connect(), *filter(None, map(str.strip, said.split(";"))))
    sink.execute(statement, touches="p a")
    assert sink.query("SELECT id FROM dd.a") == ((1,),)
    assert sink.progress() == {"*": 10}
