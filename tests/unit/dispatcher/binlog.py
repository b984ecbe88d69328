"""Synthetic binlog events, as a reader returns them: no checksums."""

from __future__ import annotations

import struct
import uuid

SOURCE = uuid.UUID(int=1).bytes


class Binlog:
    """Writes events with growing positions, in the notation of one flavour."""

    def __init__(self, flavour: str) -> None:
        self.flavour = flavour
        self.offset = 4
        self.number = 0

    def event(self, kind: int, body: bytes) -> bytes:
        size = 19 + len(body)
        self.offset += size
        return struct.pack("<IBIIIH", 1_700_000_000, kind, 7, size, self.offset, 0) + body

    def begin(self) -> list[bytes]:
        self.number += 1
        if self.flavour == "mariadb":
            return [self.event(162, struct.pack("<QIB", self.number, 0, 0) + bytes(6))]
        return [self.event(33, b"\0" + SOURCE + struct.pack("<Q", self.number)), self.query("BEGIN")]

    def query(self, text: str, schema: str = "") -> bytes:
        head = struct.pack("<IIBHH", 1, 0, len(schema), 0, 0)
        return self.event(2, head + schema.encode() + b"\0" + text.encode())

    def ddl(self, text: str, schema: str = "s") -> list[bytes]:
        self.number += 1
        gtid = (
            self.event(162, struct.pack("<QIB", self.number, 0, 1) + bytes(6))
            if self.flavour == "mariadb"
            else self.event(33, b"\0" + SOURCE + struct.pack("<Q", self.number))
        )
        return [gtid, self.query(text, schema)]

    def rows(self, schema: str, table: str, table_id: int, payload: bytes = b"r", flags: int = 1) -> list[bytes]:
        identity = struct.pack("<Q", table_id)[:6]
        names = bytes([len(schema)]) + schema.encode() + b"\0" + bytes([len(table)]) + table.encode() + b"\0"
        kind = 23 if self.flavour == "mariadb" else 30
        return [
            self.event(19, identity + b"\0\0" + names + b"\x01\x03\0\0"),
            self.event(kind, identity + struct.pack("<H", flags) + payload),
        ]

    def commit(self) -> list[bytes]:
        return [self.event(16, bytes(8))]

    def transaction(self, *rows: tuple[str, str, int]) -> list[bytes]:
        events = self.begin()
        for schema, table, table_id in rows:
            events += self.rows(schema, table, table_id, f"{self.number}:{table}".encode())
        return events + self.commit()

    def prepared(self, xid: str, *rows: tuple[str, str, int], one_phase: bool = False) -> list[bytes]:
        """`xid` as both servers log it: X'31',X'',1. Only MySQL logs one phase like this."""
        gtrid, bqual, number = (part.strip("X'") for part in xid.split(","))
        data = bytes.fromhex(gtrid) + bytes.fromhex(bqual)
        lengths = len(gtrid) // 2, len(bqual) // 2
        events = self.begin()
        if self.flavour == "mariadb":
            flags = struct.pack("<QIBIBB", self.number, 0, 64, int(number), *lengths)
            events = [self.event(162, flags + data)]
        else:
            events[-1] = self.query(f"XA START {xid}")
        for schema, table, table_id in rows:
            events += self.rows(schema, table, table_id, f"{self.number}:{table}".encode())
        events.append(self.query(f"XA END {xid}"))
        return [*events, self.event(38, struct.pack("<BIII", one_phase, int(number), *lengths) + data)]

    def decided(self, text: str) -> list[bytes]:
        """XA COMMIT or XA ROLLBACK."""
        return [*self.begin()[:1], self.query(text)]

    def gtid_set(self, number: int) -> str:
        """Everything up to this number."""
        if not number:
            return ""
        return f"0-7-{number}" if self.flavour == "mariadb" else f"{uuid.UUID(bytes=SOURCE)}:1-{number}"
