"""The changefeed under test: made, watched, waited for, removed."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence
from typing import Any, Final

from hedgerow.common.errors import HedgerowError
from hedgerow.common.pb.v1 import admin_pb2 as pb
from hedgerow.sandbox.drill import ask
from hedgerow.sandbox.rawrows import SYSTEM_SCHEMAS, quote
from hedgerow.sandbox.servers import Server
from hedgerow.sandbox.wired import WiredCluster

MARKS: Final = "storm_marks"  # a schema whose only table gets a row before each comparison
_POLL_SECONDS: Final = 0.25


class Stopped(Exception):
    """The changefeed failed, or did not get where it should in time."""


class Feed:
    def __init__(self, cluster: WiredCluster, name: str, rules: Sequence[str]) -> None:
        self.cluster = cluster
        self.name = name
        self._rules = [argument for rule in rules for argument in ("--filter", rule)]
        self._marks = 0
        self._exists = False
        self.start = ""

    def prepare(self) -> None:
        """Two empty servers, and where the story begins."""
        for server in (self.cluster.pair.source, self.cluster.pair.sink):
            with server.connect() as connection, connection.cursor() as cursor:
                cursor.execute("SET foreign_key_checks = 0")
                cursor.execute("SELECT schema_name FROM information_schema.schemata")
                for (schema,) in cursor.fetchall():
                    if schema not in SYSTEM_SCHEMAS:
                        cursor.execute(f"DROP DATABASE {quote(schema)}")
        self.start = "file:{}:{}".format(*end_of_binlog(self.cluster.pair.source))
        ask(self.cluster.pair.source, f"CREATE DATABASE {MARKS}")
        ask(self.cluster.pair.source, f"CREATE TABLE {MARKS}.marks (number INT PRIMARY KEY) ENGINE=InnoDB")

    def create(self) -> None:
        self.cluster.create(self.name, *self._rules, start=self.start)
        self._exists = True

    def remove(self) -> None:
        if self._exists:
            with contextlib.suppress(HedgerowError):
                self._call("Remove")

    def pause(self) -> None:
        self._call("Pause")

    def resume(self) -> None:
        self._call("Resume")

    def check(self) -> None:
        """Raises Stopped if it has failed; what cannot be known now is known later."""
        with contextlib.suppress(HedgerowError):
            self._judge(self.cluster.get(self.name))

    def reach_end(self, seconds: float) -> None:
        """Returns when all that is in the source's binlog is durable in the sink, as the checkpoint tells. The clock
        starts again whenever the checkpoint advances: a slow machine is not a fault. Raises Stopped."""
        self._marks += 1
        ask(self.cluster.pair.source, f"INSERT INTO {MARKS}.marks VALUES ({self._marks})")
        wanted = end_of_binlog(self.cluster.pair.source)
        deadline, last = time.monotonic() + seconds, ("", 0)
        feed: dict[str, Any] = {}
        while time.monotonic() < deadline:
            with contextlib.suppress(HedgerowError):
                feed = self.cluster.get(self.name)
                self._judge(feed)
                reached = (feed["checkpoint"]["file"], feed["checkpoint"]["offset"])
                if reached >= wanted:
                    return
                if reached > last:
                    deadline, last = time.monotonic() + seconds, reached
            time.sleep(_POLL_SECONDS)
        raise Stopped(
            f"the sink has not reached {wanted[0]}:{wanted[1]}, the source's end: the checkpoint stands at"
            f" {last[0]}:{last[1]} for {seconds:g} s\n{json.dumps(feed, indent=1, ensure_ascii=False)}"
        )

    def _judge(self, feed: dict[str, Any]) -> None:
        if feed["state"] == "failed":
            raise Stopped(f"the changefeed failed\n{json.dumps(feed['error'], indent=1, ensure_ascii=False)}")

    def _call(self, method: str) -> None:
        self.cluster.any_node().client().call(method, pb.ChangefeedRequest(name=self.name))


def end_of_binlog(server: Server) -> tuple[str, int]:
    file, size, *_ = ask(server, "SHOW BINARY LOGS")[-1]
    return str(file), int(size)
