"""Wakes those who wait for "something changed". Waiters re-check after waking, so no change is missed."""

from __future__ import annotations

import asyncio


class Signal:
    """`version` counts the changes, from 1: a caller that has seen nothing yet asks for what is after 0."""

    def __init__(self) -> None:
        self.version = 1
        self._event = asyncio.Event()

    def notify(self) -> None:
        self.version += 1
        event, self._event = self._event, asyncio.Event()
        event.set()

    async def wait(self, seen: int, timeout: float | None = None) -> bool:
        """Returns as soon as `version` is not `seen`; False after `timeout` seconds without, where one is given."""
        if self.version == seen:
            try:
                # Not wait_for: until Python 3.12 it drops a cancellation that comes together with the event.
                async with asyncio.timeout(timeout):
                    await self._event.wait()
            except TimeoutError:
                return False
        return True
