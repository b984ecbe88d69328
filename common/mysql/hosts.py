"""Which hosts a server URI may name (`allowed_hosts`). Whoever creates a changefeed chooses hosts that every node then
connects to, from where it stands in the network.

An entry is a name (db1.example.com), every name below one (*.example.com), an address, or a network (10.20.0.0/16). A
host written as a name is allowed by names only: what a name resolves to can change between a check and a connection.
Without entries every host is allowed. One rule for a process, set once when it starts.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import Final

from hedgerow.common.errors import BadInput

_NAME: Final = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_allowed: tuple[str | _Network, ...] = ()
_shown: tuple[str, ...] = ()


def read(entries: Sequence[str]) -> tuple[str | _Network, ...]:
    """Raises ValueError for an entry that is none."""
    return tuple(_read(entry) for entry in entries)


def restrict(entries: Sequence[str]) -> None:
    """From now on only these hosts are connected to; none: all. Raises ValueError."""
    global _allowed, _shown
    _allowed, _shown = read(entries), tuple(entries)


def check(host: str) -> None:
    """Raises BadInput where the host may not be connected to. Nothing is resolved or sent for it."""
    if not _allowed or _is_allowed(host):
        return
    raise BadInput(
        f"host {host} is none of the hosts that this node may connect to (allowed_hosts: {', '.join(_shown)}): add it "
        "in the configuration of every node, names as names and addresses as addresses or networks"
    )


def _is_allowed(host: str) -> bool:
    address = _address(host)
    if address is not None:
        return any(address in entry for entry in _allowed if not isinstance(entry, str))
    name = host.lower().rstrip(".")
    return any(_covers(entry, name) for entry in _allowed if isinstance(entry, str))


def _covers(entry: str, name: str) -> bool:
    return name.endswith(entry[1:]) and len(name) >= len(entry) if entry.startswith("*.") else name == entry


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def _read(entry: str) -> str | _Network:
    try:
        return ipaddress.ip_network(entry)
    except ValueError:
        pass
    name = entry.lower().rstrip(".")
    if not _NAME.fullmatch(name) or re.fullmatch(r"[0-9./x]+", name):
        raise ValueError(f"{entry!r} is no host name, *.domain, address or network (a network has no host bits set)")
    return name
