"""A TCP proxy that breaks a connection in the ways a network does.

A FaultProxy owns one thread with its own event loop, so blocking code and asyncio code use it alike. It listens on a
loopback port that stays its own until it is closed, and forwards to one address. What it does to bytes:

    resume   forwards (the beginning)
    cut      resets every connection and refuses new ones: a dead host or a firewall that rejects
    stall    keeps connections, accepts new ones, forwards nothing: a partition, a frozen peer
    deaden   goes on reading what is open, and delivers nothing of it, not even an end; new connections are served: a
             tunnel whose channels are gone
    delay    forwards every chunk this many seconds late, in order, in both directions

A stall or a delay begins with the next chunk that arrives; a chunk is never lost, except by cut, deaden and
close. Cut and
stall can be had for one client process only: then it is cut off from what others still reach.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeVar

from hedgerow.sandbox.ports import free_port
from hedgerow.sandbox.process import SandboxError
from hedgerow.sandbox.sockets import client_ports

_T = TypeVar("_T")
_CHUNK = 256 * 1024
_CALL_SECONDS = 60.0  # generous: whoever waits for this shares its machine with whole clusters
# struct linger {on, 0 seconds}: close sends RST instead of FIN (socket(7), SO_LINGER).
_RESET = struct.pack("ii", 1, 0)


@dataclass(eq=False, slots=True)
class _Link:
    """One connection. `flowing` is its own gate, behind the proxy's."""

    client_port: int
    task: asyncio.Task[None]
    flowing: asyncio.Event = field(default_factory=asyncio.Event)
    is_dead: bool = False


class FaultProxy:
    """Forwards `port` on 127.0.0.1 to `target_host:target_port`. Every method returns when the change is in effect."""

    def __init__(self, target_port: int, target_host: str = "127.0.0.1", port: int | None = None) -> None:
        self.host = "127.0.0.1"
        self.port = port or free_port()
        self.connections_accepted = 0
        self._target = (target_host, target_port)
        self._loop = asyncio.new_event_loop()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._delay = 0.0
        self._server: asyncio.Server | None = None
        self._is_cut = False
        self._links: set[_Link] = set()
        self._cut_off: set[int] = set()  # pids
        self._stalled: set[int] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"fault-proxy-{self.port}", daemon=True)
        self._thread.start()
        try:
            self._call(self._listen())
        except BaseException:
            self._end_loop()
            raise

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def redirect(self, target_port: int) -> None:
        """New connections go to another port of the same host; those that are open stay where they are."""
        self._target = (self._target[0], target_port)

    def cut(self) -> None:
        self._call(self._cut())

    def cut_process(self, pid: int) -> None:
        """Resets the connections of one client process, and its new ones as soon as they are accepted."""
        self._call(self._cut_process(pid))

    def stall(self) -> None:
        self._now(self._flowing.clear)

    def stall_process(self, pid: int) -> None:
        """As stall, for the connections of one client process, open ones and new ones."""
        self._call(self._stall_process(pid))

    def deaden(self) -> int:
        """What is open now is acknowledged and lost, for good. How many connections."""
        return self._call(self._deaden())

    def delay(self, seconds: float) -> None:
        """Per chunk and direction; 0 ends it. In effect together with a stall, not instead of it."""

        def change() -> None:
            self._delay = seconds

        self._now(change)

    def resume(self) -> None:
        """Undo cut, stall and delay, for all processes. Bytes held back by a stall are forwarded."""
        self._call(self._resume())

    def reset_connections(self) -> None:
        """Reset what is open now; new connections are served as before."""
        self._call(self._reset())

    def close(self) -> None:
        """Cut for good. Harmless when done twice."""
        if self._thread.is_alive():
            self._call(self._close())
            self._end_loop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # -- from the caller's thread into the loop's ----------------------------------------------------------------------

    def _call(self, work: Coroutine[Any, Any, _T]) -> _T:
        if not self._thread.is_alive():
            work.close()
            raise SandboxError(f"the proxy on {self.address} is closed")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_CALL_SECONDS)

    def _now(self, change: Callable[[], None]) -> None:
        async def work() -> None:
            change()

        self._call(work())

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CALL_SECONDS)
        self._loop.close()

    # -- in the loop ---------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        self._is_cut = False
        self._server = await asyncio.start_server(self._accepted, self.host, self.port)

    async def _resume(self) -> None:
        self._delay = 0.0
        self._flowing.set()
        self._cut_off.clear()
        self._stalled.clear()
        for link in self._links:
            link.flowing.set()
        if self._server is None:
            await self._listen()

    async def _cut(self) -> None:
        self._is_cut = True
        server, self._server = self._server, None
        if server is not None:
            for listening in server.sockets:
                self._loop.remove_reader(listening.fileno())
            await asyncio.sleep(0)  # asyncio loses a connection that was accepted in the iteration of the close
            server.close()
        await self._reset()

    async def _close(self) -> None:
        await self._cut()
        while others := asyncio.all_tasks() - {asyncio.current_task()}:  # connections that were just being accepted
            await asyncio.wait(others)
        await asyncio.sleep(0)

    async def _cut_process(self, pid: int) -> None:
        self._cut_off.add(pid)
        ports = client_ports(pid, self.port)
        await _cancel([link for link in self._links if link.client_port in ports])

    async def _stall_process(self, pid: int) -> None:
        self._stalled.add(pid)
        ports = client_ports(pid, self.port)
        for link in self._links:
            if link.client_port in ports:
                link.flowing.clear()

    async def _deaden(self) -> int:
        for link in self._links:
            link.is_dead = True
        return len(self._links)

    async def _reset(self) -> None:
        await _cancel(list(self._links))

    def _is_of(self, link: _Link, pids: set[int]) -> bool:
        return any(link.client_port in client_ports(pid, self.port) for pid in pids)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections_accepted += 1
        task = asyncio.current_task()
        assert task is not None
        link = _Link(writer.get_extra_info("peername")[1], task)
        if self._is_cut or self._is_of(link, self._cut_off):  # it was accepted just before the cut
            _reset_all([writer])
            return
        if not self._is_of(link, self._stalled):
            link.flowing.set()
        self._links.add(link)
        writers = [writer]
        try:
            await self._may_flow(link)
            far_reader, far_writer = await asyncio.open_connection(*self._target)
            writers.append(far_writer)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._forward(link, reader, far_writer))
                both.create_task(self._forward(link, far_reader, writer))
        except (OSError, asyncio.CancelledError):
            # A cancelled link is a cut one. It is not re-raised: asyncio's stream protocol would log it.
            _reset_all(writers)
        except ExceptionGroup as broken:
            _reset_all(writers)
            if broken.split(OSError)[1] is not None:
                raise
        finally:
            self._links.discard(link)
            for each in writers:
                each.close()

    async def _may_flow(self, link: _Link) -> None:
        while not (self._flowing.is_set() and link.flowing.is_set()):
            await self._flowing.wait()
            await link.flowing.wait()

    async def _forward(self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until the sender's end; then the other side sees an end too, and may still answer."""
        held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=64)

        async def read() -> None:
            try:
                while chunk := await reader.read(_CHUNK):
                    await held.put((self._loop.time() + self._delay, chunk))
            except OSError:
                if not link.is_dead:
                    raise
            await held.put((self._loop.time() + self._delay, b""))

        async def write() -> None:
            while True:
                due, chunk = await held.get()
                await asyncio.sleep(max(0.0, due - self._loop.time()))
                await self._may_flow(link)
                if link.is_dead:
                    if not chunk:
                        await asyncio.Event().wait()  # until it is reset
                    continue
                if not chunk:
                    break
                writer.write(chunk)
                await writer.drain()
            with contextlib.suppress(OSError):
                writer.write_eof()

        async with asyncio.TaskGroup() as ends:
            ends.create_task(read())
            ends.create_task(write())


async def _cancel(links: list[_Link]) -> None:
    for link in links:
        link.task.cancel()
    await asyncio.gather(*(link.task for link in links), return_exceptions=True)


def _reset_all(writers: list[asyncio.StreamWriter]) -> None:
    for writer in writers:
        with contextlib.suppress(OSError):
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        writer.transport.abort()
