"""Only the method of a statement is left to the server, and only where the method is what was refused."""

from __future__ import annotations

import pytest

from hedgerow.common.mysql.names import TableName
from hedgerow.dispatcher.sink.ddl.storage import by_any_method, rebuild


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("ALTER TABLE t ADD c INT, ALGORITHM=INSTANT", "ALTER TABLE t ADD c INT, ALGORITHM=DEFAULT"),
        (
            "alter table t algorithm = inplace, lock none, add c int comment 'algorithm=instant'",
            "alter table t algorithm = DEFAULT, lock DEFAULT, add c int comment 'algorithm=instant'",
        ),
        (
            "CREATE INDEX i ON t (c) ALGORITHM INPLACE LOCK=NONE",
            "CREATE INDEX i ON t (c) ALGORITHM DEFAULT LOCK=DEFAULT",
        ),
        (
            "ALTER TABLE t ADD `algorithm` INT, ALGORITHM=INSTANT",
            "ALTER TABLE t ADD `algorithm` INT, ALGORITHM=DEFAULT",
        ),
        ("ALTER TABLE t ADD `lock` ENUM('NONE')", None),
        ("ALTER TABLE t ADD c INT", None),
        ("ALTER TABLE t ADD c INT, ALGORITHM=DEFAULT /* ALGORITHM=INSTANT */", None),
        ("ALTER TABLE t ADD c INT DEFAULT 'x", None),
        ("INSTANT", None),
        ("", None),
    ],
)
def test_the_method_is_left_to_the_server(statement: str, expected: str | None) -> None:
    assert by_any_method(4092, statement, "mysql", 0) == expected
    assert by_any_method(1846, statement, "mariadb", 0) == expected
    assert by_any_method(1062, statement, "mysql", 0) is None
    assert by_any_method(4092, statement, "mariadb", 0) is None  # there it is a view that does not exist


def test_tables_to_rebuild_are_named() -> None:
    text = "Non matching attribute 'INSTANT COLUMN(s)' between partition and table"
    tables = [TableName("s", "b"), TableName("s", "a"), TableName("s", "")]
    assert rebuild(1731, text, tables) == "ALTER TABLE `s`.`a` FORCE; ALTER TABLE `s`.`b` FORCE;"
    assert rebuild(1731, "Non matching attribute 'INDEX DIRECTORY'", tables) == ""
