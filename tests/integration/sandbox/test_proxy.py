"""The fault proxy: what each fault looks like to the client behind it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from hedgerow.sandbox.process import SandboxError, wait_until
from hedgerow.sandbox.proxy import FaultProxy
from hedgerow.sandbox.servers import ServerPair

Start = Callable[[int], FaultProxy]


@pytest.fixture
def echo_port() -> Iterator[int]:
    """A server that sends back what it gets, until the client's end, then says so."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        threads = []

        def serve(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                while data := connection.recv(65536):
                    connection.sendall(data)
                connection.sendall(b"end")

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                thread = threading.Thread(target=serve, args=(connection,))
                thread.start()
                threads.append(thread)

        acceptor = threading.Thread(target=accept)
        acceptor.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        acceptor.join(10)
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()


@contextlib.contextmanager
def client(proxy: FaultProxy, seconds: float = 10.0) -> Iterator[socket.socket]:
    with socket.create_connection((proxy.host, proxy.port), timeout=seconds) as connection:
        yield connection


def ask(connection: socket.socket, data: bytes) -> bytes:
    connection.sendall(data)
    return receive(connection, len(data))


def receive(connection: socket.socket, length: int) -> bytes:
    got = b""
    while len(got) < length and (more := connection.recv(65536)):
        got += more
    return got


def test_it_forwards_both_ways_and_the_end(fault_proxy: Start, echo_port: int) -> None:
    with client(fault_proxy(echo_port)) as connection:
        data = bytes(range(256)) * 8192
        sender = threading.Thread(target=connection.sendall, args=(data,))
        sender.start()
        assert receive(connection, len(data)) == data
        sender.join()
        connection.shutdown(socket.SHUT_WR)
        assert receive(connection, 3) == b"end"
        assert connection.recv(1) == b""


def test_cut_resets_and_refuses_until_resume(fault_proxy: Start, echo_port: int) -> None:
    proxy = fault_proxy(echo_port)
    with client(proxy) as connection:
        assert ask(connection, b"x") == b"x"
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    with pytest.raises(ConnectionRefusedError), client(proxy):
        pass
    proxy.resume()
    with client(proxy) as connection:
        assert ask(connection, b"y") == b"y"


def test_stall_accepts_and_holds_back_and_loses_nothing(fault_proxy: Start, echo_port: int) -> None:
    proxy = fault_proxy(echo_port)
    with client(proxy) as old:
        assert ask(old, b"x") == b"x"
        proxy.stall()
        with client(proxy) as new:
            for connection in (old, new):
                connection.sendall(b"held")
                connection.settimeout(0.2)
                with pytest.raises(TimeoutError):
                    connection.recv(1)
                connection.settimeout(10)
            proxy.resume()
            assert receive(old, 4) == b"held"
            assert receive(new, 4) == b"held"


def test_a_stalled_connection_can_be_cut(fault_proxy: Start, echo_port: int) -> None:
    proxy = fault_proxy(echo_port)
    proxy.stall()
    with client(proxy) as connection:
        connection.sendall(b"held")
        assert wait_until(lambda: proxy.connections_accepted == 1, 10)
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_delay_holds_every_chunk_back_by_as_much(fault_proxy: Start, echo_port: int) -> None:
    proxy = fault_proxy(echo_port)
    with client(proxy) as connection:
        assert ask(connection, b"x") == b"x"
        proxy.delay(0.2)
        began = time.monotonic()
        assert ask(connection, b"late") == b"late"
        assert time.monotonic() - began >= 0.4  # there and back


def test_a_target_that_refuses_is_a_reset(fault_proxy: Start) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, not listening
        proxy = fault_proxy(unused.getsockname()[1])
        # The reset may come while the client is still connecting.
        with pytest.raises(ConnectionResetError), client(proxy) as connection:
            connection.recv(1)


@pytest.mark.parametrize("iterations", range(4))
def test_a_connection_that_comes_with_the_cut_is_reset(
    fault_proxy: Start, echo_port: int, iterations: int, caplog: pytest.LogCaptureFixture
) -> None:
    proxy = fault_proxy(echo_port)
    clients: list[socket.socket] = []

    async def connect_and_cut() -> None:
        clients.append(socket.create_connection((proxy.host, proxy.port), timeout=10))
        for _ in range(iterations):  # of the loop: so far it has got with accepting it
            await asyncio.sleep(0)
        await proxy._cut()

    proxy._call(connect_and_cut())
    with clients[0] as connection, pytest.raises(ConnectionResetError):
        connection.recv(1)
    gc.collect()  # a connection that was lost would be found now, and be an error
    assert caplog.records == []


def test_close_frees_everything(echo_port: int) -> None:
    proxy = FaultProxy(echo_port)
    before = threading.active_count()
    proxy.close()
    proxy.close()
    assert threading.active_count() == before - 1
    with pytest.raises(SandboxError, match="closed"):
        proxy.cut()


def test_a_database_behind_it(fault_proxy: Start, server_pair: ServerPair) -> None:
    proxy = fault_proxy(server_pair.source.port)
    with server_pair.source.root.at(proxy.host, proxy.port).connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT REPEAT('x', 1000000)")
        row = cursor.fetchone()
        assert row == ("x" * 1_000_000,)


_CLIENT = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=10) as connection:
    for line in sys.stdin:
        try:
            connection.sendall(line.encode())
            print(connection.recv(100).decode().strip() or "end", flush=True)
        except ConnectionResetError:
            print("reset", flush=True)
"""


@contextlib.contextmanager
def other_process(proxy: FaultProxy) -> Iterator[subprocess.Popen[str]]:
    """A client that sends each line of its input and prints what comes back."""
    argv = [sys.executable, "-c", _CLIENT, str(proxy.port)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def exchange(process: subprocess.Popen[str], line: str) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def test_one_process_is_cut_off_and_others_are_not(fault_proxy: Start, echo_port: int) -> None:
    proxy = fault_proxy(echo_port)
    with other_process(proxy) as victim, client(proxy) as mine:
        assert exchange(victim, "a") == "a"
        proxy.cut_process(victim.pid)
        assert ask(mine, b"b") == b"b"
        assert exchange(victim, "c") == "reset"
        with client(proxy) as another:
            assert ask(another, b"d") == b"d"


def test_one_process_is_stalled_and_loses_nothing(fault_proxy: Start, echo_port: int) -> None:
    proxy = fault_proxy(echo_port)
    with other_process(proxy) as victim, client(proxy) as mine:
        assert exchange(victim, "a") == "a"
        proxy.stall_process(victim.pid)
        answers: list[str] = []
        thread = threading.Thread(target=lambda: answers.append(exchange(victim, "b")))
        thread.start()
        assert ask(mine, b"c") == b"c"
        thread.join(0.3)
        assert answers == []
        proxy.resume()
        thread.join(10)
        assert answers == ["b"]


def test_a_dead_connection_acknowledges_and_delivers_nothing_not_even_an_end(fault_proxy: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = fault_proxy(listener.getsockname()[1])
        with client(proxy, 0.3) as near:
            far, _ = listener.accept()
            near.sendall(b"before")
            assert far.recv(64) == b"before"
            assert proxy.deaden() == 1
            near.sendall(b"x" * 100_000)
            far.settimeout(0.3)
            with pytest.raises(TimeoutError):
                far.recv(64)
            far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            far.close()  # a reset
            with pytest.raises(TimeoutError):
                near.recv(64)
            near.sendall(b"x" * 100_000)
            with client(proxy) as other:
                beyond, _ = listener.accept()
                with beyond:
                    other.sendall(b"new")
                    assert beyond.recv(64) == b"new"
