"""Which DDL passes a filter, which is left out, and which stops the changefeed because it lies across."""

from __future__ import annotations

import pytest

from hedgerow.common.mysql.filter import TableFilter
from hedgerow.dispatcher.ddl import Action, apply_filter, classify

SKIP, EXECUTE, REFUSE = Action.SKIP, Action.EXECUTE, Action.REFUSE


@pytest.mark.parametrize(
    ("rules", "statement", "action"),
    [
        ("d.*", "CREATE TABLE t (a int)", EXECUTE),
        ("d.*", "CREATE TABLE e.t (a int)", SKIP),
        ("d.*", "CREATE TABLE mysql.t (a int)", SKIP),
        ("", "CREATE TABLE hedgerow.x (a int)", SKIP),
        ("d.*", "DROP TABLE a, b", EXECUTE),
        ("d.*", "DROP TABLE a, e.b", REFUSE),
        ("d.*", "DROP TABLE e.a, e.b", SKIP),
        ("d.t", "RENAME TABLE t TO t_old, t_new TO t", REFUSE),
        ("d.*", "RENAME TABLE t TO t_old, t_new TO t", EXECUTE),
        ("d.*", "ALTER TABLE t RENAME TO e.t", REFUSE),
        ("d.*", "ALTER TABLE e.t RENAME TO d.t", REFUSE),
        ("d.*", "ALTER TABLE t EXCHANGE PARTITION p WITH TABLE e.u", REFUSE),
        ("d.*", "CREATE TABLE t LIKE e.u", REFUSE),
        ("d.*", "CREATE TABLE e.t LIKE d.u", SKIP),
        ("d.*", "ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES e.u (a)", REFUSE),
        ("d.*", "ALTER TABLE e.t ADD FOREIGN KEY (a) REFERENCES d.u (a)", SKIP),
        ("", "CREATE TABLE `d.t` (a int)", REFUSE),
        ("", "CREATE TABLE `d.e`.t (a int)", REFUSE),
        ("", "CREATE TABLE `d.t` LIKE d.u", REFUSE),
        ("", "RENAME TABLE t TO `t.old`", REFUSE),
        ("", "ALTER TABLE t RENAME TO `t.old`", REFUSE),
        ("", "CREATE DATABASE `d.e`", REFUSE),
        ("", "CREATE VIEW `d.v` AS SELECT 1", EXECUTE),
        ("e.*", "CREATE TABLE `d.t` (a int)", SKIP),
        ("d.*", "CREATE DATABASE d", EXECUTE),
        ("d.t", "CREATE DATABASE d", EXECUTE),
        ("d.*", "CREATE DATABASE e", SKIP),
        ("d.*", "DROP DATABASE d", EXECUTE),
        ("", "DROP DATABASE d", EXECUTE),
        ("d.t", "DROP DATABASE d", REFUSE),
        ("d.* !d.u", "DROP DATABASE d", REFUSE),
        ("d.*", "DROP DATABASE e", SKIP),
        ("d.*", "ALTER DATABASE d COLLATE utf8mb4_bin", EXECUTE),
        ("d.*", "CREATE VIEW v AS SELECT 1", EXECUTE),
        ("e.*", "CREATE VIEW v AS SELECT 1", SKIP),
        ("d.*", "DROP TRIGGER d.tr", EXECUTE),
        ("e.*", "DROP TRIGGER d.tr", SKIP),
        ("d.*", "CREATE PROCEDURE p() SELECT 1", EXECUTE),
        ("d.*", "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO SELECT 1", SKIP),
        ("d.*", "GRANT ALL ON d.* TO u", SKIP),
        ("d.*", "DROP TEMPORARY TABLE t", SKIP),
        ("d.*", "SAVEPOINT x", SKIP),
        ("d.*", "INSERT INTO e.t VALUES (1)", REFUSE),
        ("d.*", "CREATE TABLE t SELECT 1", REFUSE),
        ("", "FROBNICATE", REFUSE),
        ("d.*", "FROBNICATE", REFUSE),
    ],
)
def test_decision(rules: str, statement: str, action: Action) -> None:
    decision = apply_filter(classify(statement, "d", "mysql"), TableFilter.parse(rules.split()))
    assert decision.action is action
    if action is REFUSE:
        assert decision.reason


def test_a_refusal_names_both_sides() -> None:
    decision = apply_filter(classify("DROP TABLE a, e.b", "d", "mysql"), TableFilter.parse(["d.*"]))
    assert "d.a inside" in decision.reason
    assert "e.b outside" in decision.reason
