"""The program `hedgerow`."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    # Until everything is imported, which takes a second, an interrupt ends the process as the shell expects.
    usual = signal.signal(signal.SIGINT, signal.SIG_DFL)
    from hedgerow.cli.main import run

    signal.signal(signal.SIGINT, usual)
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
