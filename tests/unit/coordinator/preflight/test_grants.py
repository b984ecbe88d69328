"""Reading SHOW GRANTS of both flavours."""

from __future__ import annotations

import pytest

from hedgerow.coordinator.preflight.grants import parse_grants


@pytest.mark.parametrize(
    ("lines", "schema", "missing"),
    [
        (["GRANT ALL PRIVILEGES ON *.* TO `u`@`%` WITH GRANT OPTION"], "shop", []),
        (["GRANT SELECT, CREATE ON *.* TO `u`@`%`"], "shop", []),
        (
            ["GRANT SELECT ON *.* TO `u`@`%` IDENTIFIED BY PASSWORD '*AB'", "GRANT CREATE ON `shop`.* TO `u`@`%`"],
            "shop",
            [],
        ),
        (["GRANT USAGE ON *.* TO `u`@`%`"], "shop", ["SELECT", "CREATE"]),
        (["GRANT SELECT, CREATE ON `shop`.* TO `u`@`%`"], "other", ["SELECT", "CREATE"]),
        (["GRANT ALL PRIVILEGES ON `sh%`.* TO `u`@`%`"], "shop", []),
        (["GRANT ALL PRIVILEGES ON `a_b`.* TO `u`@`%`"], "axb", []),
        (["GRANT ALL PRIVILEGES ON `a\\_b`.* TO `u`@`%`"], "axb", ["SELECT", "CREATE"]),
        (["GRANT ALL PRIVILEGES ON `a\\_b`.* TO `u`@`%`"], "a_b", []),
        (["GRANT ALL PRIVILEGES ON `a``b`.* TO `u`@`%`"], "a`b", []),
        (["GRANT SELECT, CREATE ON `shop`.`t` TO `u`@`%`"], "shop", ["SELECT", "CREATE"]),
        (["GRANT SELECT (`a`, `b`), CREATE ON `shop`.* TO `u`@`%`"], "shop", ["SELECT"]),
        (
            ["GRANT `r`@`%` TO `u`@`%`", "GRANT EXECUTE ON PROCEDURE `shop`.`p` TO `u`@`%`"],
            "shop",
            ["SELECT", "CREATE"],
        ),
        (["GRANT SELECT, CREATE ON *.* TO `u`@`%`", "REVOKE CREATE ON `shop`.* FROM `u`@`%`"], "shop", ["CREATE"]),
        (["GRANT SELECT, CREATE ON *.* TO `u`@`%`", "REVOKE CREATE ON `shop`.* FROM `u`@`%`"], "other", []),
        (["GRANT ALL PRIVILEGES ON *.* TO `u`@`%`", "REVOKE CREATE ON `shop`.* FROM `u`@`%`"], "shop", ["CREATE"]),
        ([], "shop", ["SELECT", "CREATE"]),
    ],
)
def test_missing(lines: list[str], schema: str, missing: list[str]) -> None:
    assert parse_grants(lines).missing(("SELECT", "CREATE"), schema) == missing


def test_everywhere_is_not_a_schema() -> None:
    grants = parse_grants(["GRANT BINLOG_ADMIN ON *.* TO `u`@`%`", "GRANT ALL PRIVILEGES ON `shop`.* TO `u`@`%`"])
    assert grants.missing(("BINLOG_ADMIN", "SUPER")) == ["SUPER"]
