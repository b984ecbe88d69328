"""How long a session with the sink's server may be silent: whoever comes after it waits no longer than this."""

from __future__ import annotations

IDLE_TIMEOUT = 10  # seconds without a statement, after which the server ends the session and frees its locks
PEER_TIMEOUT = 15  # seconds that sent data may stay unacknowledged
