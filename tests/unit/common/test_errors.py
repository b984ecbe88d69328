"""Errors that come as codes, from another process or another version."""

from __future__ import annotations

import pytest

from hedgerow.common import errors


@pytest.mark.parametrize("kind", [errors.Fenced, errors.Rejected, errors.TermLost, errors.SessionLost])
def test_a_lost_ownership_is_known_by_its_code(kind: type[errors.HedgerowError]) -> None:
    assert errors.kind_of(kind.__name__) is kind
    assert errors.loses_ownership(kind.__name__)


@pytest.mark.parametrize("code", ["", "Internal", "FromTheFuture", "dataclass", "Problem", "grpc", "__name__"])
def test_what_is_no_error_is_only_an_error(code: str) -> None:
    assert errors.kind_of(code) is errors.HedgerowError
    assert not errors.loses_ownership(code)


def test_another_error_is_no_lost_ownership() -> None:
    assert errors.kind_of("SinkDiverged") is errors.SinkDiverged
    assert not errors.loses_ownership("SinkDiverged")
