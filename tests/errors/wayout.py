"""Entering what a message says, to the letter."""

from __future__ import annotations

import re
from typing import Any

from tests.errors.replication import Replication

_COMMANDS = re.compile(r"hedgerow (changefeed skip \S+ [^;]+); then hedgerow (changefeed resume \S+)")


def follow(replication: Replication, message: str) -> dict[str, Any]:
    """Enters both commands that the message ends with; what the first one shows."""
    found = _COMMANDS.search(message)
    assert found, message
    skip, resume = (command.replace("'", "").rstrip(".").split() for command in found.groups())
    shown: dict[str, Any] = replication.cluster.command(*skip)
    assert shown["by"], shown
    assert replication.get()["skips"][-1]["transaction"] == shown["transaction"]
    replication.cluster.command(*resume)
    return shown
