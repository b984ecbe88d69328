"""Bearer tokens of the token file, which knows them by their SHA-256 only.

    # name   role      hash                                                             until (may be left out)
    grafana  viewer    sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    alice    admin     sha256:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752  2027-01-31T00:00:00Z

A fast hash is right for them, because a token is 256 random bits: it has a form that only `hedgerow token` makes, and
what does not have it is refused unseen. The file is read again when it changes. Where it cannot be read then, nobody's
token is valid until it can: who was taken out of it must not stay in because of a slip further down.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hedgerow.common.control.security.caller import Caller
from hedgerow.common.control.security.files import ReloadedFile
from hedgerow.common.control.security.methods import USER_ROLES, Role
from hedgerow.common.errors import BadInput, Unauthenticated

_TOKEN = re.compile(r"hgr_[A-Za-z0-9_-]{43}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,62}")
_HASH = re.compile(r"sha256:([0-9a-f]{64})")
PREFIX: Final = "hgr_"


@dataclass(frozen=True, slots=True)
class Entry:
    name: str
    role: Role
    until: float | None  # seconds since 1970


def new_token() -> str:
    return PREFIX + base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")


def entry_line(name: str, role: Role, token: str, until: datetime.datetime | None = None) -> str:
    """The token's line of the file. Raises BadInput."""
    line = f"{name} {role} sha256:{_digest(token)}"
    if until is not None:
        line += f" {until.astimezone(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"
    read_tokens(line)
    return line


def read_tokens(text: str, where: str = "token file") -> Mapping[str, Entry]:
    """Entries by their hash. Raises BadInput that names the line and never shows it: it may hold a token."""
    found: dict[str, Entry] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        try:
            digest, entry = _read_line(words)
        except ValueError as error:
            raise BadInput(
                f"{where}, line {number}: {error}. A line is NAME ROLE sha256:HASH [UNTIL]; 'hedgerow token' prints one"
            ) from None
        if digest in found:
            raise BadInput(f"{where}, line {number}: the same token again as of {found[digest].name}")
        found[digest] = entry
    return found


def _read_line(words: list[str]) -> tuple[str, Entry]:
    if len(words) not in (3, 4):
        raise ValueError(f"{len(words)} words instead of three or four")
    name, role, hashed = words[:3]
    if not _NAME.fullmatch(name):
        raise ValueError("the first word is not a name of letters, digits and . _ - @, of 63 at most")
    if role not in USER_ROLES:
        raise ValueError(f"the second word is none of {', '.join(sorted(USER_ROLES))}")
    match = _HASH.fullmatch(hashed)
    if match is None:
        raise ValueError("the third word is not sha256: and 64 hexadecimal digits in lower case")
    return match[1], Entry(name, Role(role), _read_time(words[3]) if len(words) == 4 else None)


def _read_time(text: str) -> float:
    try:
        when = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("the fourth word is not a time like 2027-01-31T00:00:00Z") from None
    if when.tzinfo is None:
        raise ValueError("the time in the fourth word names no time zone; end it with Z")
    return when.timestamp()


class TokenFile:
    """Raises BadInput where the file cannot be read at the start."""

    def __init__(self, path: Path) -> None:
        self._file = ReloadedFile(path, lambda content: read_tokens(_text(content, path), f"token file {path}"))

    def identify(self, token: str) -> Caller | None:
        """None for what is no token of this kind. Raises Unauthenticated."""
        if not token.startswith(PREFIX):
            return None
        entry = self._file.value().get(_digest(token)) if _TOKEN.fullmatch(token) else None
        if entry is None:
            raise Unauthenticated("the token is not known here, or no more: ask for a new one")
        if entry.until is not None and time.time() >= entry.until:
            raise Unauthenticated(f"the token of {entry.name} is not valid any more: ask for a new one")
        return Caller(f"TOKEN:{entry.name}", frozenset((entry.role,)), "token")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _text(content: bytes, path: Path) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise BadInput(f"token file {path} is not UTF-8 text") from None
