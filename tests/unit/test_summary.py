"""The end of a run says the same whether its tests ran in one process or in several."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]

CONFTEST = """
import pytest
from tests import summary

def pytest_terminal_summary(terminalreporter):
    summary.write(terminalreporter)

@pytest.fixture(scope="session", params=["one", "two"])
def flavour(request):
    if request.param == "two":
        pytest.skip("two is missing")
"""

TESTS = """
import pytest
from tests import summary

@pytest.mark.parametrize("number", range(3))
def test_it(flavour, number):
    pass

def test_drill(request):
    request.node.user_properties.append((summary.DRILL, "froze the {name}"))

def test_skips():
    pytest.skip("not on this machine")
"""


@pytest.mark.parametrize("processes", [0, 2])
def test_reasons_are_counted_and_drills_reported(tmp_path: Path, processes: int) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    for name in ("owner", "maintainer"):
        (tmp_path / f"test_{name}.py").write_text(TESTS.replace("{name}", name))
    options = ["-n", str(processes), "--dist", "loadfile", "-p", "no:cacheprovider", "-c", str(tmp_path / "none.ini")]
    (tmp_path / "none.ini").write_text("[pytest]\n")
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    lines = ended.stdout.splitlines()
    assert "8 passed, 8 skipped" in lines[-1]
    for line in ("    6  two is missing", "    2  not on this machine", "froze the owner", "froze the maintainer"):
        assert lines.count(line) == 1, ended.stdout
