"""What the docs say of files is true: every path that they name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[3]
PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))]
_PATH = re.compile(r"`((?:\w[\w.-]*/)+[\w.-]*)`")
_OURS = ("bench", "common", "coordinator", "deploy", "dispatcher", "docs", "hedgerow", "maintainer", "proto", "tests")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_exist(page: Path) -> None:
    named = {path for path in _PATH.findall(page.read_text()) if path.split("/")[0] in _OURS}
    assert sorted(path for path in named if not (CHECKOUT / path).exists()) == []


def test_the_walks_name_files() -> None:
    walks = (CHECKOUT / "docs" / "architecture.md").read_text()
    assert len(_PATH.findall(walks)) > 20
