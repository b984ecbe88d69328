"""What the generator never makes, and why."""

from __future__ import annotations

from typing import Final

LEFT_OUT: Final = {
    "names with a dot": "not replicated: refused by preflight and in DDL (README, Limits)",
    "binlog_format other than ROW": "statement-format changes stop the changefeed (README, Limits)",
}
