"""Golden recordings: small binlogs of real servers, and what the tracker has always made of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.record_binlogs import BINLOGS, flavour_of, story

RECORDINGS = sorted(BINLOGS.glob("*.bin"))


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_the_story_is_what_was_recorded(path: Path) -> None:
    assert "\n".join(story(flavour_of(path), path.read_bytes())) + "\n" == path.with_suffix(".txt").read_text(
        encoding="utf-8"
    )


def test_there_are_recordings_of_both_flavours_plain_compressed_and_of_sessions() -> None:
    names = {path.stem for path in RECORDINGS}
    for flavour in ("mysql", "mariadb"):
        assert any(name.startswith(flavour) and name.endswith("-compressed") for name in names)
        assert any(name.startswith(flavour) and "-" not in name.removeprefix(f"{flavour}-") for name in names)
        assert any(name.startswith(flavour) and name.endswith("-sessions") for name in names)
