"""The audit log: every call that was refused, and every call that changes something, with who, what, whence, outcome.

A changing call is written down before it is carried out and again with its outcome; where the first cannot be written,
it is not carried out. Lines are JSON, in a file of their own or among the node's other lines. They never hold a
password, a token or a key: requests are shown through the redaction of URIs, and tokens are not part of requests.
"""

from __future__ import annotations

import datetime
import itertools
import json
import os
import time
from pathlib import Path
from typing import Any, Final

import structlog
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from prometheus_client import Counter

from hedgerow.common.control.security.caller import Caller
from hedgerow.common.errors import BadInput, Unavailable
from hedgerow.common.mysql.uri import redact

log = structlog.get_logger()

_REFUSED = Counter("hedgerow_calls_refused_total", "Calls of people and nodes that were refused at the door", ["code"])
_SHOWN_LENGTH: Final = 300
_SHOWN_ENTRIES: Final = 20
_REFUSALS_PER_SECOND: Final = 50  # more of them are counted, not written: a log is not a way to fill a disk


class Audit:
    """Owned by the node for its whole life. Closed by it."""

    def __init__(self, path: Path | None = None) -> None:
        """Raises BadInput where the file cannot be written."""
        self._path = path
        self._file: int | None = None
        self._inode: tuple[int, int] | None = None
        self._numbers = itertools.count(1)
        self._second = 0
        self._refused = 0
        self._left_out = 0
        if path is not None:
            try:
                self._reopen(path)
            except OSError as error:
                raise BadInput(f"cannot write audit_log {path}: {error.strerror}") from None

    def begun(self, caller: Caller, method: str, request: Message) -> int:
        """Before a changing call is carried out; the number that its outcome carries. Raises Unavailable."""
        number = next(self._numbers)
        try:
            self._write("call-begun", call=number, method=method, request=shown(request), **_whom(caller))
        except OSError as error:
            raise Unavailable(
                f"the audit log of this node cannot be written ({error.strerror}), so nothing is changed through it: "
                "free its disk or use another node"
            ) from None
        return number

    def ended(self, number: int, caller: Caller, method: str, outcome: str) -> None:
        self._try("call-ended", call=number, method=method, outcome=outcome, **_whom(caller))

    def refused(self, caller: Caller, method: str, outcome: str, reason: str) -> None:
        _REFUSED.labels(outcome).inc()
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._refused = second, 0
        self._refused += 1
        if self._refused > _REFUSALS_PER_SECOND:
            self._left_out += 1
            return
        more = {"not_written": self._left_out} if self._left_out else {}
        self._left_out = 0
        self._try("call-refused", method=method, outcome=outcome, reason=_short(reason), **more, **_whom(caller))

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _try(self, event: str, **fields: Any) -> None:
        try:
            self._write(event, **fields)
        except OSError as error:
            log.error("audit-not-written", error=error.strerror, audit=event, **fields)

    def _write(self, event: str, **fields: Any) -> None:
        """Raises OSError."""
        if self._path is None:
            log.warning("audit", audit=event, **fields)
            return
        when = datetime.datetime.now(datetime.UTC).isoformat().replace("+00:00", "Z")
        line = json.dumps({"timestamp": when, "event": event, **fields}, ensure_ascii=True) + "\n"
        self._reopen(self._path)
        assert self._file is not None
        data = line.encode()
        if os.write(self._file, data) != len(data):
            raise OSError(28, "No space left on device")

    def _reopen(self, path: Path) -> None:
        """Opens the file where it is not open, or was moved away (logrotate)."""
        try:
            found = os.stat(path)
            there: tuple[int, int] | None = (found.st_dev, found.st_ino)
        except FileNotFoundError:
            there = None
        if self._file is not None and there == self._inode:
            return
        opened = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self.close()
        state = os.fstat(opened)
        self._file, self._inode = opened, (state.st_dev, state.st_ino)


def shown(request: Message) -> Any:
    """A request as it may be written down."""
    return _redacted(MessageToDict(request, preserving_proto_field_name=True))


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return _short(value)
    if isinstance(value, list):
        kept = [_redacted(one) for one in value[:_SHOWN_ENTRIES]]
        return [*kept, f"and {len(value) - _SHOWN_ENTRIES} more"] if len(value) > _SHOWN_ENTRIES else kept
    if isinstance(value, dict):
        return {key: _redacted(one) for key, one in value.items()}
    return value


def _short(text: str) -> str:
    text = redact(text)
    return text if len(text) <= _SHOWN_LENGTH else f"{text[:_SHOWN_LENGTH]}… ({len(text)} characters)"


def _whom(caller: Caller) -> dict[str, Any]:
    found = {"who": caller.name, "via": caller.via, "from": caller.address, "roles": sorted(caller.roles)}
    return {**found, "forwarded_by": caller.forwarded_by} if caller.forwarded_by else found
