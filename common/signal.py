"""Wakes whoever waits for "something changed". It holds no values: who wakes looks again, so no change is missed."""

from __future__ import annotations

import asyncio


class Signal:
    def __init__(self) -> None:
        self.rung = 0
        self._event = asyncio.Event()

    def ring(self) -> None:
        self.rung += 1
        event, self._event = self._event, asyncio.Event()
        event.set()

    async def wait(self, seen: int, timeout: float) -> bool:
        """Returns as soon as it has rung since `rung` was `seen`; False after `timeout` seconds without."""
        if self.rung == seen:
            try:
                # Not wait_for: until Python 3.12 it drops a cancellation that comes together with the event.
                async with asyncio.timeout(timeout):
                    await self._event.wait()
            except TimeoutError:
                return False
        return True
