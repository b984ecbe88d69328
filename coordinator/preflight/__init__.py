"""Whether a source and a sink can serve a changefeed: everything wrong at once, each with its fix.

`preflight` asks both servers, judges what they say by pure rules, and resolves the start. It changes nothing.
"""

from hedgerow.coordinator.preflight.run import Resolved, preflight

__all__ = ["Resolved", "preflight"]
