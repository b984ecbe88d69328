"""Prints the archive mirror that this machine's own apt sources name for a suite: `apt_mirror.py bookworm [/etc/apt]`.

Both formats of sources.list(5) are read: one line for each source (.list), and deb822 stanzas (.sources). Of the
sources whose suites include exactly this one and whose components include `main`, the first wins. Ends with 1 if there
is none.
Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Source:
    uris: list[str]
    suites: list[str]
    components: list[str]


def read_list(text: str) -> Iterator[Source]:
    """`deb [option=value ...] URI suite component ...`"""
    for line in text.splitlines():
        words = re.sub(r"\[[^]]*\]", " ", line.partition("#")[0]).split()
        if len(words) >= 4 and words[0] == "deb":
            yield Source([words[1]], [words[2]], words[3:])


def read_deb822(text: str) -> Iterator[Source]:
    """Stanzas of `Field: words`, separated by empty lines, continued by indented ones."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for stanza in re.split(r"\n\s*\n", "\n".join(lines)):
        fields: dict[str, list[str]] = {}
        words: list[str] = []
        for line in stanza.splitlines():
            if line[:1].isspace():
                words.extend(line.split())
                continue
            name, colon, value = line.partition(":")
            if colon:
                words = fields.setdefault(name.strip().lower(), [])
                words.extend(value.split())
        enabled = [word.lower() for word in fields.get("enabled", ["yes"])]
        if "deb" in fields.get("types", []) and enabled not in (["no"], ["false"], ["0"]):
            yield Source(fields.get("uris", []), fields.get("suites", []), fields.get("components", []))


def sources(etc_apt: Path) -> Iterator[Source]:
    for path in [etc_apt / "sources.list", *sorted((etc_apt / "sources.list.d").glob("*"))]:
        if path.is_file() and path.suffix in (".list", ".sources"):
            yield from (read_deb822 if path.suffix == ".sources" else read_list)(path.read_text())


def resolve(uri: str) -> str | None:
    """debootstrap knows http, https and file. A mirror list (apt-transport-mirror(1)) stands for its first entry."""
    for scheme in ("mirror+file:", "mirror:"):
        if uri.startswith(f"{scheme}/"):
            path = Path(re.sub("^/+", "/", uri.removeprefix(scheme)))
            lines = path.read_text().splitlines() if path.is_file() else []
            return next((line.split()[0] for line in lines if line.strip() and not line.startswith("#")), None)
    return uri if uri.startswith(("http://", "https://", "file:")) else None


def find_mirror(suite: str, etc_apt: Path) -> str | None:
    for source in sources(etc_apt):
        if suite in source.suites and "main" in source.components:
            for uri in source.uris:
                mirror = resolve(uri)
                if mirror:
                    return mirror
    return None


def main() -> int:
    suite = sys.argv[1]
    etc_apt = Path(sys.argv[2] if len(sys.argv) > 2 else "/etc/apt")
    mirror = find_mirror(suite, etc_apt)
    if mirror is None:
        print(f"no apt source in {etc_apt} names suite {suite} with component main", file=sys.stderr)
        return 1
    print(mirror)
    return 0


if __name__ == "__main__":
    sys.exit(main())
