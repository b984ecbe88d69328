"""Free loopback ports that stay free while their server is down.

They are taken from below the kernel's ephemeral range, because an outgoing connection may be given any port of that
range at any moment: also the port of a server that is just being restarted.
"""

from __future__ import annotations

import random
import socket
import threading
from pathlib import Path

_LOWEST = 12_000
_lock = threading.Lock()
_given: set[int] = set()


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nothing listens on; this process is never given the same one twice."""
    with _lock:
        for _ in range(10_000):
            port = random.randrange(_LOWEST, max(_ephemeral_start(), _LOWEST + 1000))
            if port not in _given and _can_bind(port):
                _given.add(port)
                return port
    raise OSError(f"no free port on 127.0.0.1 from {_LOWEST} on")


def _ephemeral_start() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        return 32_768


def _can_bind(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
