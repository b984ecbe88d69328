"""What a table-map event names."""

from __future__ import annotations


class TableMap:
    """One table as a table-map event names it. The same object comes back while the event's body stays the same."""

    __slots__ = ("schema", "table", "table_id")

    def __init__(self, body: bytes) -> None:
        """`body`: the event without its header (mysql-server, class Table_map_event)."""
        length = body[8]
        self.table_id = int.from_bytes(body[:6], "little")
        self.schema = body[9 : 9 + length].decode("utf-8")
        at = 9 + length + 1
        self.table = body[at + 1 : at + 1 + body[at]].decode("utf-8")

    def __repr__(self) -> str:
        return f"TableMap({self.schema}.{self.table}, {self.table_id})"
