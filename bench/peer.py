"""mysql-replication (PyPI) reading the same binlog, for reference: it decodes rows and applies nothing."""

from __future__ import annotations

import time

from pymysqlreplication import BinLogStreamReader
from pymysqlreplication.event import XidEvent
from pymysqlreplication.row_event import DeleteRowsEvent, UpdateRowsEvent, WriteRowsEvent

from bench.binlog import Written
from bench.results import PeerRun
from hedgerow.sandbox.servers import Server

SECONDS = 10.0  # it reads no longer: enough to tell its speed
_SERVER_ID = 4_000_000_001


def read_with_peer(source: Server, written: Written) -> PeerRun:
    """Never raises: a peer that cannot read this binlog is a result."""
    rows = transactions = 0
    began = time.monotonic()
    try:
        reader = BinLogStreamReader(
            connection_settings={
                "host": "127.0.0.1",
                "port": source.port,
                "user": source.root.user,
                "passwd": source.root.password,
            },
            server_id=_SERVER_ID,
            log_file=written.begin.file,
            log_pos=written.begin.offset,
            resume_stream=True,
            only_events=[WriteRowsEvent, UpdateRowsEvent, DeleteRowsEvent, XidEvent],
        )
        try:
            for event in reader:
                if isinstance(event, XidEvent):
                    transactions += 1
                else:
                    rows += len(event.rows)
                if time.monotonic() > began + SECONDS:
                    break
        finally:
            reader.close()
    except Exception as error:
        failure = f"{type(error).__name__}: {error}"
        return PeerRun(written.scenario.name, time.monotonic() - began, rows, transactions, failure)
    return PeerRun(written.scenario.name, time.monotonic() - began, rows, transactions)
