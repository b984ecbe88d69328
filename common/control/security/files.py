"""A file that is read again when it changes, and closes what depends on it while it cannot be read."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, TypeVar

import structlog

from hedgerow.common.errors import BadInput, Unauthenticated

log = structlog.get_logger()

T = TypeVar("T")
LOOK_SECONDS: Final = 1.0  # a change is seen within this


class ReloadedFile(Generic[T]):
    def __init__(self, path: Path, read: Callable[[bytes], T]) -> None:
        """`read` raises BadInput. So does this, at the start."""
        self._path = path
        self._read = read
        self._content = _content(path)
        self._value: T | None = read(self._content)
        self._looked = time.monotonic()

    def value(self) -> T:
        """Raises Unauthenticated while the file cannot be read."""
        now = time.monotonic()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            self._look()
        if self._value is None:
            raise Unauthenticated(f"this node cannot tell who you are: it cannot read {self._path.name}, see its log")
        return self._value

    def _look(self) -> None:
        try:
            content = _content(self._path)
            if content == self._content and self._value is not None:
                return
            changed = content != self._content
            self._value, self._content = self._read(content), content
            if changed:
                log.info("credentials-reloaded", file=str(self._path))
        except BadInput as error:
            self._value = None
            log.error("credentials-unreadable", file=str(self._path), error=str(error), effect="nobody is let in by it")


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}") from None
