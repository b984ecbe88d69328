"""A contender that is another checkout of Hedgerow, to compare before and after in one sitting:

    make bench ARGS="--contender before='/the/other/.venv/bin/python -P bench/feed.py {flavour} {source_uri} {sink_uri}
      {position}'"

It runs one node, with an etcd, of whichever Hedgerow is installed for the Python that runs this, until it is killed.
What follows goes to `changefeed create`. It uses only what old checkouts have too.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import hedgerow
from hedgerow.sandbox.cluster import Cluster

SCHEMA = "bench"  # as in bench/scenarios.py, which another checkout's Python does not find


@dataclass(frozen=True)
class Given:
    """Servers that somebody else runs."""

    source_uri: str
    sink_uri: str


def main(flavour: Any, source_uri: str, sink_uri: str, position: str, *options: str) -> None:
    os.chdir(Path(hedgerow.__file__).parents[1])  # `python -m` prefers what is in the working directory
    with Cluster(flavour, nodes=1, pair=cast("Any", Given(source_uri, sink_uri))) as cluster:
        cluster.create(SCHEMA, "--filter", f"{SCHEMA}.*", *options, start=f"gtid:{position}")
        signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
