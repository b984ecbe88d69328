"""Which mirror `make mysql` uses: the one that apt itself uses, in every format it is written in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts" / "apt_mirror.py"

OTHERS = """
# deb http://commented.test/debian bookworm main
deb-src http://source.test/debian bookworm main
deb https://vendor.test/debian bookworm stable
deb http://security.test/debian-security bookworm-security main
"""


def mirror(etc_apt: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), "bookworm", str(etc_apt)], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("sources.list", OTHERS + "deb http://mine.test/debian bookworm main contrib\n"),
        ("sources.list", "deb [arch=amd64 signed-by=/a/b.gpg] http://mine.test/debian bookworm main # here\n"),
        ("sources.list.d/a.list", "deb http://mine.test/debian bookworm main\n"),
        (
            "sources.list.d/debian.sources",
            "Types: deb\nURIs: http://vendor.test/x\nSuites: bookworm\nComponents: stable\n\n"
            "Types: deb deb-src\n# a comment\nURIs: http://mine.test/debian\nSuites: bookworm bookworm-updates\n"
            "Components: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINB\n",
        ),
        (
            "sources.list.d/debian.sources",
            "Enabled: no\nTypes: deb\nURIs: http://off.test/debian\nSuites: bookworm\nComponents: main\n\n"
            "types: deb\nuris:\n http://mine.test/debian\n http://second.test/debian\nsuites: bookworm\n"
            "components: main\n",
        ),
    ],
)
def test_the_first_fitting_source_is_found(tmp_path: Path, file: str, text: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    found = mirror(tmp_path)
    assert found.stdout.strip() == "http://mine.test/debian", found.stderr


def test_a_mirror_list_stands_for_its_first_entry(tmp_path: Path) -> None:
    mirrors = tmp_path / "mirrors"
    mirrors.write_text("# nearest\nhttp://mine.test/debian priority:1\nhttp://far.test/debian\n")
    (tmp_path / "sources.list").write_text(f"deb mirror+file://{mirrors} bookworm main\n")
    assert mirror(tmp_path).stdout.strip() == "http://mine.test/debian"


def test_without_a_fitting_source_it_says_what_it_looked_for(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text(OTHERS)
    found = mirror(tmp_path)
    assert found.returncode == 1
    assert found.stdout == ""
    assert "bookworm" in found.stderr
    assert "Traceback" not in found.stderr
