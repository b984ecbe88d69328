"""The client protocol where PyMySQL stops: commands that are sent before earlier ones are answered, and statements with
a parameter in binary form.

MySQL internals, "Client/Server Protocol": COM_QUERY, COM_STMT_PREPARE, COM_STMT_EXECUTE. One thread at a time uses it.
"""

from __future__ import annotations

import re
import struct
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pymysql
from pymysql.connections import Connection
from pymysql.constants import COMMAND, FIELD_TYPE

_LONGEST: Final = 0xFFFFFF  # a packet of this length is continued in the next
_MULTI_STATEMENTS_ON: Final = struct.pack("<H", 0)  # MYSQL_OPTION_MULTI_STATEMENTS_ON
# Statement id, no cursor, one iteration, no parameter is NULL, types follow: one BLOB.
_EXECUTE: Final = struct.Struct("<IBIBBBB")
_CHANGED: Final = re.compile(rb"Changed: ([0-9]+)")


@dataclass(frozen=True, slots=True)
class Result:
    """Of one statement. `matched`: rows that an UPDATE found; `changed`: those that it found otherwise than wanted."""

    rows: Sequence[tuple[Any, ...]]
    matched: int
    changed: int


class Wire:
    """Commands are answered in the order in which they were sent: one call of `results` for each.

    Every method raises pymysql.MySQLError when the connection is lost.
    """

    def __init__(self, connection: Connection[Any]) -> None:
        self._raw: Any = connection
        self._answers: deque[int] = deque()  # the sequence number that each begins with

    def allow_multi_statements(self) -> None:
        """For this session: the URI's connection has none. Nothing is unanswered."""
        self._send(COMMAND.COM_SET_OPTION, _MULTI_STATEMENTS_ON)
        self._begin_answer()._read_packet()

    def query(self, *text: bytes) -> None:
        """Send statements joined by `;`. The server stops at the first that fails."""
        self._send(COMMAND.COM_QUERY, *text)

    def prepare(self, statement: bytes) -> int:
        """The id of a statement with one parameter. Nothing is unanswered."""
        self._send(COMMAND.COM_STMT_PREPARE, statement)
        raw = self._begin_answer()
        _, number, _, parameters = struct.unpack_from("<BIHH", raw._read_packet().get_all_data())
        for _ in range(parameters + 1):  # their definitions, and the end of the list
            raw._read_packet()
        return int(number)

    def execute(self, statement: int, parameter: bytes) -> None:
        """Send a prepared statement with its parameter, which the server takes as it is."""
        head = _EXECUTE.pack(statement, 0, 1, 0, 1, FIELD_TYPE.BLOB, 0)
        self._send(COMMAND.COM_STMT_EXECUTE, head, _length(parameter), parameter)

    def results(self) -> list[Result]:
        """The answer to the oldest command that is not answered. Raises pymysql.MySQLError where a statement failed;
        the answer has been read then."""
        raw = self._begin_answer()
        results = []
        while True:
            raw._read_query_result()
            result = raw._result
            said = _CHANGED.search(result.message or b"")
            results.append(Result(result.rows or (), result.affected_rows, int(said[1]) if said else 0))
            if not result.has_next:
                return results

    def _begin_answer(self) -> Any:
        raw = self._connected()
        raw._next_seq_id = self._answers.popleft()
        return raw

    def _send(self, command: int, *parts: bytes) -> None:
        raw = self._connected()
        size = 1 + sum(map(len, parts))
        if size < _LONGEST:
            raw._write_bytes(b"".join((struct.pack("<IB", size, command), *parts)))
            self._answers.append(1)
            return
        payload = memoryview(b"".join((bytes([command]), *parts)))
        packets = [payload[at : at + _LONGEST] for at in range(0, size + 1, _LONGEST)]  # the last is shorter, or empty
        for number, packet in enumerate(packets):
            raw._write_bytes(struct.pack("<I", len(packet) | (number & 0xFF) << 24))
            raw._write_bytes(packet)
        self._answers.append(len(packets) & 0xFF)

    def _connected(self) -> Any:
        if not self._raw.open:
            raise pymysql.InterfaceError(0, "the connection is closed")
        return self._raw


def _length(value: bytes) -> bytes:
    """As the protocol writes lengths ("Length-Encoded Integer")."""
    size = len(value)
    if size < 251:
        return bytes([size])
    if size < 1 << 16:
        return b"\xfc" + size.to_bytes(2, "little")
    if size < 1 << 24:
        return b"\xfd" + size.to_bytes(3, "little")
    return b"\xfe" + size.to_bytes(8, "little")
