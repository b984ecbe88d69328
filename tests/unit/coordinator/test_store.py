"""What etcd holds is read as earlier versions have written it: with the names that fields had there."""

from __future__ import annotations

from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.coordinator.store import decode, encode

WRITTEN_BEFORE = b'{"name": "shop", "warnings": [{"found": "sql_mode is empty", "mend": "SET GLOBAL sql_mode"}]}'


def test_warnings_of_an_earlier_version_keep_their_fix() -> None:
    spec = decode(WRITTEN_BEFORE, pb.ChangefeedSpec())
    assert [(warning.found, warning.fix) for warning in spec.warnings] == [("sql_mode is empty", "SET GLOBAL sql_mode")]


def test_what_is_written_is_shown_with_the_names_of_today() -> None:
    spec = pb.ChangefeedSpec(name="shop", warnings=[pb.Warning(found="found", fix="do this")])
    assert b'"fix": "do this"' in encode(spec)
    assert decode(encode(spec), pb.ChangefeedSpec()) == spec
