"""ALTER TABLE whose values each server would choose for itself: refused where there are rows, else replicated."""

from __future__ import annotations

import pytest

from tests.errors.replication import Replication

pytestmark = pytest.mark.timeout(120)

EVEN = (
    "ALTER TABLE keyed ADD a DATETIME(6) DEFAULT CURRENT_TIMESTAMP(6), ADD b INT NOT NULL DEFAULT 5",
    "ALTER TABLE keyed ADD c VARCHAR(99) DEFAULT (CONCAT('v', v, DATE_FORMAT(NOW(), '%Y%m%d %H%i')))",
    "ALTER TABLE keyed ADD d JSON DEFAULT (JSON_ARRAY(1, id))",
    "ALTER TABLE keyed ADD e INT AS (v + 1) STORED, ADD f INT AS (v * 2) VIRTUAL",
    "ALTER TABLE keyed ADD n INT NOT NULL AUTO_INCREMENT, ADD KEY (n)",
    "ALTER TABLE keyless ADD g TIMESTAMP NULL DEFAULT NOW()",
    "CREATE TABLE made (id INT PRIMARY KEY, u VARCHAR(36) DEFAULT (UUID()))",
    "INSERT INTO made (id) VALUES (1), (2)",
)


def uneven(replication: Replication) -> str:
    """An expression that the source's server allows; MySQL refuses most others itself (1674)."""
    return "UUID()" if replication.source.flavour == "mariadb" else "CONNECTION_ID()"


def test_values_that_are_the_same_on_both_servers(replication: Replication) -> None:
    replication.create()
    replication.write(6)
    replication.run(replication.source, *EVEN)
    replication.run(replication.source, "INSERT INTO keyed (id, v) VALUES (90, 9)", "UPDATE keyless SET w = 'y'")
    replication.assert_equal()


def test_values_that_differ_are_refused(replication: Replication) -> None:
    replication.create()
    replication.run(replication.source, f"ALTER TABLE keyed ADD u VARCHAR(99) DEFAULT ({uneven(replication)})")
    replication.run(replication.source, "INSERT INTO keyed (id) VALUES (1), (2)")  # it had no rows
    replication.assert_equal()
    replication.run(replication.source, f"ALTER TABLE keyed ADD w2 VARCHAR(99) DEFAULT ({uneven(replication)})")
    replication.wait_failed("DdlFailed", uneven(replication), "w2", f"{replication.schema}.keyed", "UPDATE")


def test_numbers_in_the_order_of_arrival_are_refused(replication: Replication) -> None:
    replication.create()
    replication.run(replication.source, "INSERT INTO keyless VALUES (1, 'x')")  # one row has only one order
    replication.run(replication.source, "ALTER TABLE keyless ADD n INT NOT NULL AUTO_INCREMENT, ADD KEY (n)")
    replication.run(replication.source, "ALTER TABLE keyless DROP n", "INSERT INTO keyless VALUES (2, 'x')")
    replication.assert_equal()
    replication.run(replication.source, "ALTER TABLE keyless ADD n INT NOT NULL AUTO_INCREMENT PRIMARY KEY")
    replication.wait_failed("DdlFailed", "column n", f"{replication.schema}.keyless", "no key", "copied again")
