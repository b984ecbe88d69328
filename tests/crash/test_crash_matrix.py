"""A part of the crash matrix: every statement and every step once, with what happens meanwhile; the whole is
`make crash-matrix`."""

from __future__ import annotations

import pytest

from hedgerow.common.mysql.connect import Flavour
from tests.crash.matrix import CELLS, Cell, Matrix, run_all

PART = [
    Cell("ALTER ADD", "started", "writer", "rebuilt"),
    Cell("RENAME swap", "sent", "other", "nothing"),
    Cell("CREATE", "executed", "writer", "failover"),
    Cell("DROP DATABASE", "done", "maintainer", "failover"),
]


@pytest.mark.timeout(400)
def test_a_part_of_the_matrix(flavour: Flavour) -> None:
    with Matrix(flavour) as matrix:
        assert {cell: matrix.run(cell) for cell in PART} == dict.fromkeys(PART, "equal")


@pytest.mark.timeout(200)
def test_what_a_replica_that_does_not_log_cannot_tell_is_said(flavour: Flavour) -> None:
    """Its tables have other ids and its binlog has nothing: a swap of tables that look alike may have been executed."""
    cell = Cell("RENAME swap", "executed", "writer", "failover")
    assert [outcome for _, outcome, _ in run_all(flavour, [cell], replica_logs=False)] == ["DdlUncertain, then equal"]


def test_the_matrix_has_every_cell() -> None:
    assert len(set(CELLS)) == 360
    assert set(PART) < set(CELLS)
