"""Finding server programs, and running them to their end."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from hedgerow.sandbox.process import SandboxError

# Debian keeps servers in sbin, which is not on the PATH of ordinary users.
_DIRECTORIES = ("/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin")


def which(name: str) -> Path | None:
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *_DIRECTORIES]))
    return None if found is None else Path(found)


@functools.cache
def version_line(argv: tuple[str, ...]) -> str:
    """What `--version` prints, or nothing if the program does not run. Asked once for each program."""
    try:
        done = subprocess.run([*argv, "--version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def version_number(line: str) -> str:
    """The version in such a line: `mysqld  Ver 9.7.4-2 for Linux` gives 9.7.4."""
    match = re.search(r"Ver\s+(\d+\.\d+\.\d+)", line)
    return match.group(1) if match else "unknown"


def program_key(path: Path, line: str) -> str:
    """Changes whenever the program does."""
    status = path.stat()
    seen = f"{path.resolve()} {line} {status.st_size} {status.st_mtime_ns}"
    return hashlib.sha256(seen.encode()).hexdigest()[:12]


def run_to_end(argv: Sequence[str], log: Path, stdin: bytes = b"") -> None:
    """Run a program that is given `stdin`; SandboxError with its output's end unless it succeeds within two minutes."""
    with open(log, "wb") as output:
        try:
            done = subprocess.run(argv, input=stdin, stdout=output, stderr=output, timeout=120, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SandboxError(f"cannot run {argv[0]}: {error}") from error
    if done.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        raise SandboxError(f"{argv[0]} ended with {done.returncode}:\n{tail}")
