"""Answers as the server sent them: text that need not be UTF-8, though the connection says that it is.

SHOW CREATE TABLE prints the default of a MariaDB BINARY column as the bytes it is; decoding it in the middle of an
answer would break the connection (PyMySQL leaves the rest of the answer unread).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pymysql.cursors import Cursor


def query_bytes(cursor: Cursor, statement: str, arguments: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
    """The rows of the answer, every text in them as bytes. Raises what PyMySQL raises."""
    connection: Any = cursor.connection
    connection.use_unicode = False
    try:
        cursor.execute(statement, arguments)
        return list(cursor.fetchall())
    finally:
        connection.use_unicode = True


def text(value: bytes | str | None) -> str:
    """Never fails, and different bytes are different texts."""
    if value is None:
        return ""
    return value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")
