"""The program `hedgerow`."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType


def main() -> None:
    if os.getpid() == 1:
        # The kernel drops signals that the first process of a container has no handler for: a node that was told to
        # stop while it started would have joined, and then be killed with all its work at the end of the grace period.
        signal.signal(signal.SIGTERM, _end_as_by_the_signal)
    # Until everything is imported, which takes a second, an interrupt ends the process as the shell expects.
    usual = signal.signal(signal.SIGINT, signal.SIG_DFL)
    from hedgerow.cli.main import run

    signal.signal(signal.SIGINT, usual)
    sys.exit(run(sys.argv[1:]))


def _end_as_by_the_signal(number: int, _: FrameType | None) -> None:
    os._exit(128 + number)


if __name__ == "__main__":
    main()
