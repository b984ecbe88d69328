"""Which connections a process has, as the kernel shows them: so that a proxy can tell one client from another."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))  # gRPC reaches 127.0.0.1 through IPv6 sockets


def client_ports(pid: int, server_port: int) -> set[int]:
    """Local ports of a process's connections to `server_port`; none where the process is gone.

    proc(5): /proc/pid/fd links to `socket:[inode]`; /proc/net/tcp has local and remote address and the inode.
    """
    inodes = set()
    with contextlib.suppress(OSError):
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                inodes.add(os.readlink(f"/proc/{pid}/fd/{descriptor}"))
    found = set()
    for table in _TABLES:
        with contextlib.suppress(OSError):
            for line in table.read_text().splitlines()[1:]:
                fields = line.split()
                if _port(fields[2]) == server_port and f"socket:[{fields[9]}]" in inodes:
                    found.add(_port(fields[1]))
    return found


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)
