"""Free loopback ports that stay free while their server is down.

They are taken from below the kernel's ephemeral range, because an outgoing connection may be given any port of that
range at any moment: also the port of a server that is just being restarted.

A port belongs to the process that took it, until that process ends: it keeps a socket bound to it that never listens,
so no other process that asks for a free port, here or in a sandbox of its own, is given the same. Servers bind with
SO_REUSEADDR, as does what listens here, and Linux lets them in beside a socket that has it too and does not listen.
"""

from __future__ import annotations

import atexit
import random
import socket
import threading
from pathlib import Path

_LOWEST = 12_000
_lock = threading.Lock()
_held: dict[int, socket.socket] = {}


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nothing listens on, and that no process is given while this one lives."""
    with _lock:
        for _ in range(10_000):
            port = random.randrange(_LOWEST, max(_ephemeral_start(), _LOWEST + 1000))
            holder = None if port in _held else _hold(port)
            if holder is not None:
                _held[port] = holder
                return port
    raise OSError(f"no free port on 127.0.0.1 from {_LOWEST} on")


@atexit.register
def _release() -> None:
    for holder in _held.values():
        holder.close()


def _ephemeral_start() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        return 32_768


def _hold(port: int) -> socket.socket | None:
    holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        holder.bind(("127.0.0.1", port))  # without SO_REUSEADDR: fails beside any other socket
    except OSError:
        holder.close()
        return None
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return holder
