"""Which files and environment variables of this node a server URI may name.

Whoever creates a changefeed chooses its URIs, and a server that such a URI points to may be anybody's: what a password
file holds is shown to it in one way or another. So a URI reads only below the directories and with the prefix that the
node's configuration names (`secrets_dirs`, `password_env_prefix`), and whether anything else is there cannot be told
from the answer. The node's own files (its keys, its configuration) are refused even there: a server that a public
authority vouches for would be shown them.

One rule for a process, set once when it starts; until then it is the configuration's default.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from hedgerow.common.errors import SecretUnreadable

DEFAULT_DIRECTORIES: Final = ("/run/secrets", "/etc/hedgerow", "/etc/ssl/certs")
DEFAULT_PREFIX: Final = "HEDGEROW_SECRET_"

_directories: tuple[str, ...] = DEFAULT_DIRECTORIES
_prefix = DEFAULT_PREFIX
_own: set[str] = set()
_OWN_VARIABLES: Final = frozenset(("HEDGEROW_ETCD_PASSWORD",))


def restrict(directories: Sequence[str], prefix: str) -> None:
    """From now on secrets come from below these directories, and from variables whose names begin with `prefix`."""
    global _directories, _prefix
    _directories, _prefix = tuple(directories), prefix


def reserve(files: Iterable[Path | None]) -> None:
    """From now on these are the node's own: no URI names them, wherever they are."""
    _own.update(os.path.abspath(file) for file in files if file is not None)


def readable_file(option: str, path: str) -> Path:
    """The file that a URI's `option` names, wherever links lead. Raises SecretUnreadable where it may not be read."""
    real = os.path.realpath(path)
    below = any(real.startswith(os.path.join(os.path.realpath(directory), "")) for directory in _directories)
    if below and _is_own(real):
        raise SecretUnreadable(f"{option} {path} is a file of the node's own: name one that is for database servers")
    if below:
        return Path(real)
    raise SecretUnreadable(
        f"{option} {path} is not below a directory that this node reads secrets from ({', '.join(_directories)}): put "
        "it there, or add its directory to secrets_dirs in the configuration of every node"
    )


def readable_variable(name: str) -> str | None:
    """The variable's value, None where it is not set. Raises SecretUnreadable where it may not be read."""
    if not name.startswith(_prefix) or name in _OWN_VARIABLES:
        raise SecretUnreadable(
            f"password_env {name} does not begin with {_prefix}: rename it, or change password_env_prefix in the "
            "configuration of every node"
        )
    return os.environ.get(name)


def _is_own(real: str) -> bool:
    for own in _own:
        try:
            if os.path.realpath(own) == real or os.path.samefile(own, real):
                return True
        except OSError:  # one of them is not there now
            continue
    return False
