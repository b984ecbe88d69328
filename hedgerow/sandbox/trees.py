"""A database server unpacked into a directory of its own, which runs from there without being installed.

Two layouts: a Debian system (`usr/sbin/mariadbd` with the libraries and the loader that it was built for: it is started
through that loader, since this machine's C library may be older), and the makers' archives (`bin/mysqld`), which run on
this machine's libraries. `make servers` and `make mysql` make such trees.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DIRECTORY_VARIABLE = "HEDGEROW_SERVERS"


@dataclass(frozen=True, slots=True)
class Tree:
    """`argv` starts the server; `places` are the options that tell it where its files are; `share` holds its SQL."""

    program: Path
    argv: tuple[str, ...]
    places: tuple[str, ...]
    share: Path


def read_tree(root: Path, names: tuple[str, ...]) -> Tree | None:
    """The server in `root` whose program has one of these names; None where there is none."""
    for name in names:
        program = root / "usr/sbin" / name
        loaders = sorted(
            [*root.glob("usr/lib/*-linux-gnu*/ld-linux*.so.*"), *root.glob("lib/*-linux-gnu*/ld-linux*.so.*")]
        )
        if program.is_file() and loaders:
            return _debian(root, program, loaders[0])
        program = root / "bin" / name
        if program.is_file():
            share = root / "share"
            places = ("--no-defaults", f"--basedir={root}", f"--lc-messages-dir={share}")
            return Tree(program, (str(program),), places, share)
    return None


def trees() -> Iterator[Path]:
    """The trees of other versions: those in $HEDGEROW_SERVERS, else in .servers of the directory at hand or of the
    checkout."""
    named = os.environ.get(DIRECTORY_VARIABLE)
    directories = [Path(named)] if named else [Path(".servers"), Path(__file__).parents[2] / ".servers"]
    for directory in directories:
        if directory.is_dir():
            yield from sorted(path.resolve() for path in directory.iterdir() if not path.name.startswith("new."))
            return


def _debian(root: Path, program: Path, loader: Path) -> Tree:
    triplet = loader.parent.name
    libraries = [loader.parent, root / "usr/lib" / triplet, root / "lib" / triplet, root / "usr/lib/mysql/private"]
    share = next(each for each in (root / "usr/share/mariadb", root / "usr/share/mysql") if each.is_dir())
    plugins = [
        each for each in (*root.glob("usr/lib/mysql/plugin"), *root.glob("usr/lib/*/mariadb*/plugin")) if each.is_dir()
    ]
    argv = (str(loader), "--library-path", ":".join(dict.fromkeys(map(str, libraries))), str(program))
    places = (
        "--no-defaults",
        f"--basedir={root}/usr",
        f"--lc-messages-dir={share}",
        f"--character-sets-dir={share}/charsets",
        *(f"--plugin-dir={plugins[0]}" for _ in plugins[:1]),
    )
    return Tree(program, argv, places, share)
