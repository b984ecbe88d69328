"""A sink whose table space is full: retried, shown while it lasts, and over when somebody has made room.

InnoDB's system table space of fixed size stands for the disk: that it cannot grow is the error of a full disk, 1114.
"""

from __future__ import annotations

import pymysql
import pytest

from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.accounts import SINK_USER
from hedgerow.sandbox.process import wait_until
from hedgerow.sandbox.servers import Server
from tests.errors.replication import Replication, run

pytestmark = pytest.mark.timeout(90)


def test_full_disk(replication: Replication, flavour: Flavour) -> None:
    options = {"innodb_file_per_table": "OFF", "innodb_data_file_path": "ibdata1:12M;ibdata2:12M"}
    with Server(flavour, "full", options) as sink:
        replication.sink, replication.sink_uri = sink, sink.account(SINK_USER).uri
        replication.create()
        replication.write(5)
        replication.assert_equal()
        run(sink, "CREATE DATABASE elsewhere", "CREATE TABLE elsewhere.ballast (text VARCHAR(3000))")
        ballast = ", ".join(["(REPEAT('b', 3000))"] * 100)
        with pytest.raises(pymysql.err.OperationalError, match="full"):
            run(sink, *[f"INSERT INTO elsewhere.ballast VALUES {ballast}"] * 200)
        for start in range(1000, 4000, 500):
            values = ", ".join(f"({n}, {n}, REPEAT('r', 1900))" for n in range(start, start + 500))
            replication.run(replication.source, f"INSERT INTO keyed VALUES {values}")
        replication.write(5)
        replication.wait_warning("SinkUnavailable", "1114", "no room", f"127.0.0.1:{sink.port}", "by itself")
        assert wait_until(lambda: replication.logged().count("stream-retrying") >= 3, 30)
        run(sink, "DROP TABLE elsewhere.ballast")
        replication.assert_equal(seconds=40)
        replication.remove()
