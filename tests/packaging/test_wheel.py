"""The wheel beside other packages: installed into a fresh environment, as a user has it.

Dependencies come from the environment that runs the tests, by a path file; that names its site-packages only, whose own
path files (the editable install) are not followed. So nothing is fetched, and the checkout is out of reach.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path


def test_the_wheel_holds_one_package(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"hedgerow"}
    for needed in (
        "__main__.py",
        "coordinator/reconcile.py",
        "dispatcher/control/service.py",
        "common/pb/v1/model_pb2.py",
    ):
        assert f"hedgerow/{needed}" in names


def test_it_runs_beside_a_foreign_package_of_the_same_name(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    venv.create(environment, symlinks=True)
    python = environment / "bin" / "python"
    packages = Path(_output(tmp_path, python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"))
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--quiet",
        "--no-deps",
        "--ignore-installed",
    ]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True, cwd=tmp_path)
    for foreign in ("common", "coordinator", "dispatcher", "maintainer"):
        for place in (packages, tmp_path):  # beside it, and in the folder where the program is started
            (place / foreign).mkdir()
            (place / foreign / "__init__.py").write_text(f"raise ImportError('the foreign {foreign}')\n")

    where = _output(tmp_path, python, "-c", "import hedgerow.node as node; print(node.__file__)")
    assert Path(where).is_relative_to(packages), "the checkout is out of reach"
    version = _output(tmp_path, environment / "bin" / "hedgerow", "version")
    assert version == _output(tmp_path, python, "-m", "hedgerow", "version")
    assert version.startswith("hedgerow ")


def _output(folder: Path, *command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder).stdout.strip()
