"""Messages on their way: any of them may be next, lost, or delivered again later.

Every message is checked when it is sent (invariants 1 and 3): it is stamped, and the epoch it carries is durable in
etcd, for that owner.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from hedgerow.common.epoch import Stamp
from tests.model.etcd import Etcd

MOST_WAITING = 60  # beyond it the oldest is lost


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """A request to node `to`, or an answer to it (`method` empty). `reply` is called with the answer on `sender`."""

    sender: str
    to: str
    method: str
    body: Any
    reply: Callable[[Any], None]


class Network:
    def __init__(self, etcd: Etcd) -> None:
        self.waiting: list[Message] = []
        self.legacy: set[str] = set()  # uids whose epochs an operator has set back
        self._etcd = etcd

    def send(self, message: Message) -> None:
        stamp = Stamp.read(message.body.stamp)
        assert stamp.uid, f"a message without a stamp: {message}"
        if message.method and stamp.epoch and stamp.uid not in self.legacy:
            node, _ = self._etcd.owners.get((stamp.uid, stamp.epoch), ("", 0))
            assert stamp.node == node, f"{stamp} is sent, and etcd knows {node or 'nobody'} at that epoch"
        self.waiting.append(message)
        if len(self.waiting) > MOST_WAITING:
            del self.waiting[0]

    def answer(self, request: Message, body: Any) -> None:
        self.send(Message(request.to, request.sender, "", body, request.reply))

    def is_waiting(self, method: str, to: str, epoch: int) -> bool:
        return any(m.method == method and m.to == to and m.body.stamp.epoch == epoch for m in self.waiting)

    def take(self, random: Random, *, doubles: float) -> Message:
        """Any message. It may come again."""
        at = random.randrange(len(self.waiting))
        if random.random() < doubles:
            return self.waiting[at]
        return self.waiting.pop(at)
