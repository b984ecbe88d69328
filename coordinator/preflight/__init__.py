"""Checks whether a source and a sink can serve a changefeed: reports every problem in one pass, each with its fix.

`preflight` queries both servers, applies pure rules to the answers, and resolves the start. It changes nothing.
"""

from hedgerow.coordinator.preflight.run import Resolved, preflight

__all__ = ["Resolved", "preflight"]
