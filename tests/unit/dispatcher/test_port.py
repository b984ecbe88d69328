"""A lane as the stream sees it."""

from __future__ import annotations

from pathlib import Path

from common.pb.v1 import model_pb2 as pb
from dispatcher.port import Port
from dispatcher.sink.writer import Writer
from dispatcher.spec import Spec
from dispatcher.wake import Wake


def test_a_lane_that_was_never_asked_to_claim_is_idle(tmp_path: Path) -> None:
    """A stream that is cancelled while it opens its lanes waits for those that work, and only for them."""
    password = tmp_path / "password"
    password.write_text("secret")
    uri = f"mysql://u@127.0.0.1:1/?password_file={password}"
    spec = Spec.read(pb.ChangefeedSpec(name="f", uid="u", source=uri, sink=uri, flavour="mysql"))
    wake = Wake()
    port = Port(0, spec, Writer("u", 1, "n1"), wake)
    try:
        assert port.idle
    finally:
        port.lane.stop()
        wake.close()
