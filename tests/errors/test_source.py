"""What the source refuses, and another server behind its address: continued exactly, or stopped with its own error."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.accounts import ROOT_USER, SOURCE_USER
from hedgerow.sandbox.cluster import Cluster
from hedgerow.sandbox.servers import Server
from tests.errors.replication import Replication, poll, run

pytestmark = pytest.mark.timeout(90)


class Successor:
    """A replica of the shared source that can take its place: same accounts, same passwords."""

    def __init__(self, primary: Server) -> None:
        self.primary = primary
        self.flavour = primary.flavour
        self.server = Server(primary.flavour, "successor", {"log_slave_updates": True, "report_host": "127.0.0.1"})

    def start(self) -> None:
        self.server.start()
        for user in (ROOT_USER, SOURCE_USER):
            secret, ours = self.primary.account(user), self.server.account(user)
            run(
                self.server, "SET sql_log_bin = 0", f"ALTER USER '{user}'@'127.0.0.1' IDENTIFIED BY '{secret.password}'"
            )
            ours.password_file.write_text(secret.password + "\n")

    def follow(self) -> None:
        """From the beginning of what both have."""
        access = self.primary.root
        where = (
            f"{{0}}HOST = '127.0.0.1', {{0}}PORT = {self.primary.port}, {{0}}USER = 'root', "
            f"{{0}}PASSWORD = '{access.password}', {{0}}CONNECT_RETRY = 1"
        )
        reached = self.executed(self.primary)
        if self.flavour == "mysql":
            run(
                self.server,
                *self._forget(),
                f"SET GLOBAL gtid_purged = '{reached}'",
                f"CHANGE REPLICATION SOURCE TO {where.format('SOURCE_')}, SOURCE_AUTO_POSITION = 1, "
                "GET_SOURCE_PUBLIC_KEY = 1",
            )
        else:
            run(
                self.server,
                *self._forget(),
                f"SET GLOBAL gtid_binlog_state = '{reached}'",
                f"SET GLOBAL gtid_slave_pos = '{reached}'",
                f"CHANGE MASTER TO {where.format('MASTER_')}, MASTER_USE_GTID = slave_pos",
            )
        self.go_on()

    def go_on(self) -> None:
        run(self.server, "START REPLICA")

    def halt(self) -> None:
        run(self.server, "STOP REPLICA")

    def catch_up(self) -> None:
        wanted = self.executed(self.primary)
        function = {"mysql": "WAIT_FOR_EXECUTED_GTID_SET", "mariadb": "MASTER_GTID_WAIT"}[self.flavour]
        assert run(self.server, f"SELECT {function}('{wanted}', 20)") == [(0,)]

    def promote(self) -> None:
        self.halt()
        run(self.server, "RESET REPLICA ALL")

    def write_as(self, executed: str, statement: str) -> None:
        """Gives the last GTID of `executed` to another transaction."""
        if self.flavour == "mysql":
            (uuid,) = run(self.primary, "SELECT @@server_uuid")[0]
            own = next(part for part in executed.split(",") if part.strip().startswith(uuid))
            run(self.server, f"SET gtid_next = '{uuid}:{re.split('[-:]', own)[-1]}'", statement)
        else:
            domain, server, number = executed.split(",")[0].split("-")
            numbers = f"gtid_domain_id = {domain}, server_id = {server}, gtid_seq_no = {number}"
            run(self.server, f"SET {numbers}", statement)

    def _forget(self) -> list[str]:
        reset = "RESET BINARY LOGS AND GTIDS" if self.flavour == "mysql" else "RESET MASTER"
        return ["STOP REPLICA", "RESET REPLICA ALL", reset]

    def executed(self, server: Server) -> str:
        ((found,),) = run(server, "SELECT @@gtid_executed" if self.flavour == "mysql" else "SELECT @@gtid_binlog_pos")
        return str(found).replace("\n", "")


@pytest.fixture(scope="module")
def _successor(cluster: Cluster) -> Iterator[Successor]:
    made = Successor(cluster.pair.source)
    try:
        made.start()
        yield made
    finally:
        made.server.close()


@pytest.fixture
def successor(_successor: Successor, replication: Replication) -> Successor:
    """Follows the source, and has the tables of the test."""
    replication.create_tables(_successor.primary)
    replication.create_tables(_successor.server)
    _successor.follow()
    return _successor


def test_failover_to_one_that_has_everything(replication: Replication, successor: Successor) -> None:
    proxy = replication.source_proxy()
    replication.create()
    replication.write(10)
    if successor.flavour == "mariadb":
        replication.run(replication.source, "SET gtid_domain_id = 7", "INSERT INTO keyed VALUES (1001, 1, '')")
    replication.assert_equal()
    replication.write(5)
    successor.catch_up()
    successor.promote()
    replication.point(proxy, successor.server)
    replication.write(10, successor.server)
    if successor.flavour == "mariadb":
        for domain in (7, 9):
            replication.run(
                successor.server, f"SET gtid_domain_id = {domain}", f"INSERT INTO keyed VALUES ({2000 + domain}, 1, '')"
            )
    replication.assert_equal(source=successor.server)
    found = _source_id(successor.server)
    assert poll(lambda: replication.get()["checkpoint"]["source_id"] == found, 10), replication.get()["checkpoint"]


def test_failover_to_one_that_lacks_transactions(replication: Replication, successor: Successor) -> None:
    proxy = replication.source_proxy()
    replication.create()
    replication.write(5)
    replication.assert_equal()
    successor.catch_up()
    successor.halt()
    replication.write(3)
    replication.assert_equal()
    replication.point(proxy, successor.server)
    missing = successor.executed(successor.primary)
    message = replication.wait_failed("HistoryDiverged", "lacks transactions", proxy.address, "Wait until it has them")
    assert missing.rsplit("-", 1)[-1] in message.split("(it has")[0]
    successor.go_on()
    successor.catch_up()
    successor.promote()
    replication.write(5, successor.server)
    replication.resume()
    replication.assert_equal(source=successor.server)


def test_failover_to_a_diverged_one(replication: Replication, successor: Successor) -> None:
    """It has transactions of its own in the place of the last ones that were applied."""
    proxy = replication.source_proxy()
    replication.create()
    replication.write(5)
    replication.assert_equal()
    successor.catch_up()
    successor.promote()
    replication.write(3)
    replication.assert_equal()
    replication.run(successor.server, *[f"INSERT INTO keyed VALUES ({n}, 1, 'errant')" for n in range(5000, 5020)])
    replication.point(proxy, successor.server)
    replication.wait_failed("HistoryDiverged", proxy.address, "lacks transactions", "copy the data again")


def test_failover_to_one_with_another_transaction_of_the_same_gtid(
    replication: Replication, successor: Successor
) -> None:
    proxy = replication.source_proxy()
    replication.create()
    replication.write(5)
    replication.assert_equal()
    successor.catch_up()
    successor.promote()
    replication.write(1)
    replication.assert_equal()
    _await_next_second()
    successor.write_as(
        successor.executed(successor.primary), f"INSERT INTO {replication.schema}.keyless VALUES (1, '')"
    )
    replication.run(successor.server, *[f"INSERT INTO keyless VALUES ({n}, 'errant')" for n in range(20)])
    replication.point(proxy, successor.server)
    replication.wait_failed("HistoryDiverged", proxy.address, "another transaction", "copy the data again")


def test_the_address_leads_elsewhere_while_the_connection_lives(replication: Replication, successor: Successor) -> None:
    """A former primary that is cut off, and answers on."""
    proxy = replication.source_proxy()
    replication.create()
    replication.write(5)
    replication.assert_equal()
    successor.catch_up()
    successor.promote()
    proxy.redirect(successor.server.port)
    replication.write(10, successor.server)
    replication.assert_equal(source=successor.server)


def _await_next_second() -> None:
    """MariaDB tells the time of a transaction in seconds."""
    began = int(time.time())
    assert poll(lambda: int(time.time()) > began, 5)


def _source_id(server: Server) -> str:
    variable = "@@server_uuid" if server.flavour == "mysql" else "@@server_id"
    ((found,),) = run(server, f"SELECT {variable}")
    return str(found)


def test_purged_position(replication: Replication) -> None:
    replication.create()
    replication.write(3)
    replication.assert_equal()
    replication.pause()
    replication.write(3)
    run(replication.source, "FLUSH BINARY LOGS", "FLUSH BINARY LOGS")
    ((file, *_),) = run(
        replication.source, "SHOW BINARY LOG STATUS" if replication.source.flavour == "mysql" else "SHOW MASTER STATUS"
    )
    assert poll(lambda: _purged(replication.source, file), 10)
    replication.resume()
    replication.wait_failed("BinlogPurged", "purged", f"127.0.0.1:{replication.source.port}", "copy the data again")


def test_an_idle_source_may_purge_what_was_read(replication: Replication) -> None:
    """Its files are rotated while nothing is written, and the changefeed starts again later."""
    replication.create()
    replication.write(3)
    replication.assert_equal()
    source = replication.source
    run(source, "FLUSH BINARY LOGS", "FLUSH BINARY LOGS")
    ((file, *_),) = run(source, "SHOW BINARY LOG STATUS" if source.flavour == "mysql" else "SHOW MASTER STATUS")
    assert poll(lambda: replication.get()["checkpoint"]["file"] == file, 20), replication.get()["checkpoint"]
    replication.pause()
    assert poll(lambda: _purged(source, file), 10)
    replication.resume()
    replication.write(3)
    replication.assert_equal()
    assert "source-history-by-numbers" not in replication.logged()


def _purged(source: Server, file: str) -> bool:
    """MariaDB keeps what a connected replica still reads."""
    run(source, f"PURGE BINARY LOGS TO '{file}'")
    return len(run(source, "SHOW BINARY LOGS")) == 1


@pytest.mark.parametrize("paused", [True, False], ids=["paused", "running"])
@pytest.mark.parametrize("more", [0, 60], ids=["fewer", "more"])
def test_reset_binlog(replication: Replication, flavour: Flavour, paused: bool, more: int) -> None:
    """Whether or not the numbers that were applied are there again, of other transactions."""
    replication.create()
    replication.write(3)
    replication.assert_equal()
    reset = "RESET BINARY LOGS AND GTIDS" if flavour == "mysql" else "RESET MASTER"
    inserts = [f"INSERT INTO keyless VALUES ({n}, 'new')" for n in range(more)]
    if paused:
        replication.pause()
    replication.run(replication.source, reset, *inserts)
    replication.write(2)
    if paused:
        replication.resume()
    replication.wait_failed("BinlogReset", "reset", f"127.0.0.1:{replication.source.port}", "copy the data again")


def test_file_position_on_another_server(replication: Replication, flavour: Flavour, successor: Successor) -> None:
    if flavour != "mysql":
        pytest.skip("MariaDB always has GTIDs")
    successor.promote()
    for server in (replication.source, successor.server):
        run(server, *(f"SET GLOBAL gtid_mode = {mode}" for mode in ("ON_PERMISSIVE", "OFF_PERMISSIVE", "OFF")))
    try:
        proxy = replication.source_proxy()
        replication.create()
        replication.write(5)
        replication.assert_equal()
        proxy = replication.point(proxy, successor.server)
        replication.wait_failed("HistoryDiverged", _source_id(successor.server), "no GTIDs", proxy.address)
        replication.point(proxy, replication.source)
        replication.write(5)
        replication.resume()
        replication.assert_equal()
    finally:
        for server in (replication.source, successor.server):
            run(server, *(f"SET GLOBAL gtid_mode = {mode}" for mode in ("OFF_PERMISSIVE", "ON_PERMISSIVE", "ON")))


def test_gtids_turned_off_in_a_hurry(replication: Replication, flavour: Flavour) -> None:
    """With transactions that have one still to come; the message is followed to the letter."""
    if flavour != "mysql":
        pytest.skip("MariaDB always has GTIDs")
    replication.create()
    replication.write(3)
    replication.assert_equal()
    replication.pause()
    replication.write(3)
    source = replication.source
    run(source, *(f"SET GLOBAL gtid_mode = {mode}" for mode in ("ON_PERMISSIVE", "OFF_PERMISSIVE", "OFF")))
    try:
        replication.write(3)
        replication.resume()
        message = replication.wait_failed("UnsupportedEvent", "gtid_mode = ON_PERMISSIVE", "resume")
        run(source, *re.findall(r"SET GLOBAL gtid_mode = \w+", message))
        replication.resume()
        replication.assert_equal()
        run(source, *(f"SET GLOBAL gtid_mode = {mode}" for mode in ("OFF_PERMISSIVE", "OFF")))
        replication.write(3)
        replication.assert_equal()
    finally:
        ((now,),) = run(source, "SELECT @@gtid_mode")
        modes = ["OFF", "OFF_PERMISSIVE", "ON_PERMISSIVE", "ON"]
        run(source, *(f"SET GLOBAL gtid_mode = {mode}" for mode in modes[modes.index(now) + 1 :]))


def test_statement_format(replication: Replication) -> None:
    replication.create()
    replication.write(5)
    replication.assert_equal()
    replication.run(replication.source, "SET SESSION binlog_format = 'STATEMENT'", "UPDATE keyed SET v = v + 1")
    replication.wait_failed("UnsupportedEvent", "binlog_format", "UPDATE keyed", "binlog.0")
