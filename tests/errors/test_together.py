"""Changefeeds and dispatchers side by side: opposite directions, different positions, one that is held up."""

from __future__ import annotations

import threading
import time

import pytest

from hedgerow.common.pb.v1 import model_pb2
from hedgerow.sandbox.accounts import SINK_USER, SOURCE_USER
from hedgerow.sandbox.compare import wait_until_equal
from hedgerow.sandbox.servers import Server
from tests.errors.replication import Replication, poll, run, show, transact

pytestmark = pytest.mark.timeout(90)
QUIET_SECONDS = 4.0  # more than the interval at which positions are recorded


def logged(server: Server) -> int:
    """Bytes of the server's binlogs."""
    return sum(int(row[1]) for row in run(server, "SHOW BINARY LOGS"))


def test_opposite_directions_do_not_loop(replication: Replication) -> None:
    here, there = replication.source, replication.sink
    replication.create()
    replication.create_changefeed(
        name=f"{replication.name}_back", source=there.account(SOURCE_USER).uri, sink=here.account(SINK_USER).uri
    )
    assert poll(lambda: replication.get(f"{replication.name}_back")["state"] == "normal", 20)

    def write(server: Server, first: int) -> None:
        statements = []
        for n in range(first, first + 300):
            statements += [f"INSERT INTO keyed VALUES ({n}, 1, 'x')", f"UPDATE keyed SET v = v + 1 WHERE id = {n}"]
            statements += [f"INSERT INTO keyless VALUES ({n}, 'x'), ({n}, 'x')"]
            statements += [f"DELETE FROM keyless WHERE v = {n} LIMIT 1"] if n % 3 else []
        with server.connect(database=replication.schema, autocommit=False) as connection:
            for statement in statements:
                transact(connection, (statement,))

    both = [threading.Thread(target=write, args=args) for args in ((here, 0), (there, 10_000))]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    replication.assert_equal()
    ((rows,),) = replication.run(here, "SELECT COUNT(*) FROM keyed")
    assert rows == 600
    sizes: list[tuple[float, tuple[int, int]]] = []

    def quiet() -> bool:
        sizes.append((time.monotonic(), (logged(here), logged(there))))
        since = next(at for at, size in sizes if size == sizes[-1][1])
        return sizes[-1][0] - since > QUIET_SECONDS

    assert poll(quiet, 20), f"the binlogs go on growing: {sizes[-5:]}"


def test_a_dispatcher_that_is_held_up_holds_up_no_other_for_long(replication: Replication) -> None:
    """By a lock in the sink: its time-out (1205) is shown, and it goes on by itself when the lock is released."""
    replication.create(options=model_pb2.ChangefeedOptions(lanes=4, batch_transactions=20))
    replication.write(3)
    replication.assert_equal()
    lanes = {each["dispatcher"]: each for each in replication.get()["dispatchers"]}
    assert len(lanes) == 3
    other = replication.sink.connect(database=replication.schema, autocommit=False)
    with other, other.cursor() as cursor:
        cursor.execute("UPDATE keyed SET v = 0 WHERE id = 1")
        replication.run(
            replication.source,
            *[f"UPDATE keyed SET v = {n} WHERE id = 1" for n in range(200)],
            *[f"INSERT INTO keyless VALUES ({n}, 'mine')" for n in range(200)],
        )

        def arrived() -> bool:
            return replication.run(replication.sink, "SELECT COUNT(*) FROM keyless WHERE w = 'mine'") == [(200,)]

        assert poll(arrived, 25), show(replication.get())
        replication.wait_warning("SinkUnavailable", "1205", "hold locks", f"{replication.schema}.keyed")
        other.rollback()
    comparison = wait_until_equal(replication.source.root, replication.sink.root, replication.schema, seconds=20)
    assert comparison.equal, str(comparison)
    replication.assert_equal()
