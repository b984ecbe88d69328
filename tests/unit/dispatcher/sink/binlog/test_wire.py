"""Packets as the server would read them. The answers are PyMySQL's part, and tried on real servers."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymysql.constants import COMMAND

from hedgerow.dispatcher.sink.binlog import wire
from hedgerow.dispatcher.sink.binlog.wire import Wire

LONGEST = 7


class Connection:
    """What Wire uses of PyMySQL's."""

    open = True

    def __init__(self) -> None:
        self.sent = b""

    def _write_bytes(self, data: bytes) -> None:
        self.sent += data


def received(sent: bytes, longest: int) -> list[tuple[int, bytes]]:
    """The sequence number of each command's last packet, and the command: a packet that is not full ends it."""
    commands, payload = [], b""
    while sent:
        (head,) = struct.unpack_from("<I", sent)
        size, number = head & 0xFFFFFF, head >> 24
        payload, sent = payload + sent[4 : 4 + size], sent[4 + size :]
        if size < longest:
            commands.append((number, payload))
            payload = b""
    assert not payload, "the last command has no end"
    return commands


@given(st.lists(st.lists(st.binary(max_size=20), min_size=1, max_size=3), max_size=4))
def test_every_command_arrives_whole_and_its_answer_is_awaited_behind_it(commands: list[list[bytes]]) -> None:
    connection = Connection()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire, "_LONGEST", LONGEST)
        sender = Wire(connection)  # type: ignore[arg-type]
        for parts in commands:
            sender.query(*parts)
    got = received(connection.sent, LONGEST)
    assert [payload for _, payload in got] == [bytes([COMMAND.COM_QUERY]) + b"".join(parts) for parts in commands]
    assert list(sender._answers) == [number + 1 for number, _ in got]


@pytest.mark.parametrize("size", [0, 1, 250, 251, 65_535, 65_536, (1 << 24) - 1, 1 << 24])
def test_a_length_is_read_as_it_was_written(size: int) -> None:
    written = wire._length(bytes(size))
    width = {0xFC: 2, 0xFD: 3, 0xFE: 8}.get(written[0], 0)
    assert len(written) == 1 + width
    assert int.from_bytes(written[1:] if width else written, "little") == size
    assert width or size < 251
