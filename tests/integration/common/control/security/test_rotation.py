"""Certificates and authorities change while calls run, and none of them fails."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from structlog.testing import capture_logs

from hedgerow.common.control.rpc import Peers, open_channel
from hedgerow.common.control.security.tls import TlsFiles, TlsSource, channel_credentials
from hedgerow.common.pb.v1 import admin_pb2 as pb
from hedgerow.common.pb.v1 import admin_pb2_grpc, dispatch_pb2, dispatch_pb2_grpc
from hedgerow.sandbox.certificates import Authority
from tests.integration.common.control.security.harness import House, open_house

CODE = grpc.StatusCode


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, tls_connection_age=1.0) as found:
        yield found


class Load:
    """A peer that calls all the time with one stub, and a user that connects again for each call."""

    def __init__(self, house: House) -> None:
        self.done: Counter[str] = Counter()
        self.failed: list[str] = []
        self._house = house
        config = house.config
        assert config.tls_ca is not None
        self.source = TlsSource(TlsFiles(config.tls_ca, config.tls_cert, config.tls_key))
        self._peers = Peers(self.source)

    async def peer(self) -> None:
        stub = dispatch_pb2_grpc.DispatchStub(self._peers.channel(self._house.address, "node1"))
        while True:
            await self._call("peer", stub.Heartbeat(dispatch_pb2.HeartbeatRequest(), timeout=20))

    async def user(self) -> None:
        while True:
            async with self._house.channel("victor") as channel:
                await self._call("user", admin_pb2_grpc.AdminStub(channel).Get(pb.ChangefeedRequest(), timeout=20))

    async def _call(self, who: str, call: grpc.aio.UnaryUnaryCall) -> None:  # type: ignore[type-arg]
        try:
            await call
            self.done[who] += 1
        except grpc.aio.AioRpcError as error:
            self.failed.append(f"{who}: {error.code()}: {error.details()}")
        await asyncio.sleep(0.005)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self.peer()) for _ in range(3)] + [asyncio.create_task(self.user())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._peers.close()

    async def goes_on(self, calls: int = 100) -> None:
        """Until the peer and the user have done more."""
        start = self.done.copy()
        async with asyncio.timeout(60):
            while self.done["peer"] < start["peer"] + calls or self.done["user"] < start["user"] + 10:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def uses(self, cert: Path) -> None:
        """Until the peer calls with this certificate."""
        wanted = serial(cert)
        async with asyncio.timeout(60):
            while serial_of(self.source.material().chain) != wanted:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await self.goes_on()


async def served_certificate(house: House) -> str:
    """What the node shows to who connects now, as its serial number."""
    host, _, port = house.token_address.partition(":")
    pem = await asyncio.to_thread(ssl.get_server_certificate, (host, int(port)))
    return serial_of(pem.encode())


def serial(path: Path) -> str:
    return serial_of(path.read_bytes())


def serial_of(pem: bytes | None) -> str:
    assert pem is not None
    return hex(x509.load_pem_x509_certificate(pem).serial_number)


async def test_a_certificate_is_renewed_under_load(house: House) -> None:
    load = Load(house)
    async with load.running():
        for _ in range(5):
            await load.goes_on()
            cert, _ = house.authority.renew("node1")
            assert await served_certificate(house) == serial(cert)
        await load.uses(cert)
    assert load.failed == []


async def test_authorities_are_replaced_under_load(house: House, tmp_path: Path) -> None:
    """As it is done: trust both, move everybody to certificates of the new one, trust the new one only."""
    old, new = house.authority, Authority(tmp_path / "new")
    load = Load(house)
    old_files = TlsFiles(_copied(old.ca_file), *map(_copied, old.issue("ada")))
    async with load.running():
        await load.goes_on()
        bundle = old.ca_file.read_bytes() + new.ca_file.read_bytes()
        _replace(old.ca_file, bundle)
        _replace(house.node_ca, bundle)
        await load.goes_on()
        for name in ("victor", "node1"):
            for there, here in zip(new.renew(name), old.issue(name), strict=True):
                _replace(here, there.read_bytes())
            await load.goes_on()
        await load.uses(old.issue("node1")[0])
        assert await get(house, old_files, trust=old.ca_file) is CODE.OK, "of the old authority, which is still trusted"
        _replace(old.ca_file, new.ca_file.read_bytes())
        _replace(house.node_ca, new.ca_file.read_bytes())
        await load.goes_on()
        assert await get(house, old_files, trust=old.ca_file) is CODE.UNAVAILABLE, "and now it is not"
    assert load.failed == []


async def test_a_connection_of_a_former_authority_ends(house: House, tmp_path: Path) -> None:
    """It was opened while its authority was trusted; once it is not, no new call comes in by it for long."""
    new = Authority(tmp_path / "new")
    async with house.channel("ada") as channel:
        stub = admin_pb2_grpc.AdminStub(channel)
        await stub.Get(pb.ChangefeedRequest(), timeout=20)
        _replace(house.node_ca, new.ca_file.read_bytes())
        async with asyncio.timeout(60):
            while (ended := await code_of(stub.Get(pb.ChangefeedRequest(), timeout=20))) is CODE.OK:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
    assert ended is CODE.UNAVAILABLE


async def code_of(call: Any) -> grpc.StatusCode:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return CODE.OK


@pytest.mark.parametrize("what", ["key first", "nonsense", "gone", "ca nonsense"])
async def test_files_that_do_not_fit_leave_the_former_in_use(house: House, what: str) -> None:
    load = Load(house)
    cert, key = house.authority.issue("node1")
    before = await served_certificate(house)
    ca = house.authority.ca_file.read_bytes()
    kept = cert.read_bytes(), key.read_bytes()
    with capture_logs() as logs:
        async with load.running():
            await load.goes_on()
            match what:
                case "key first":
                    _replace(key, house.authority.renew("other")[1].read_bytes())
                case "nonsense":
                    _replace(cert, b"nonsense")
                case "gone":
                    key.unlink()
                case "ca nonsense":
                    _replace(house.node_ca, b"nonsense")
            assert await served_certificate(house) == before
            await load.goes_on()
            _replace(house.node_ca, ca)
            _replace(key, kept[1])
            _replace(cert, kept[0])
            await load.goes_on()
    assert load.failed == []
    assert [line for line in logs if line["event"] == "certificates-unusable"]


async def get(house: House, files: TlsFiles, trust: Path) -> grpc.StatusCode:
    credentials = channel_credentials(TlsFiles(trust, files.cert, files.key).read())
    async with open_channel(house.address, credentials) as channel:
        return await code_of(admin_pb2_grpc.AdminStub(channel).Get(pb.ChangefeedRequest(), timeout=20))


def _copied(path: Path) -> Path:
    copy = path.with_name(f"old-{path.name}")
    copy.write_bytes(path.read_bytes())
    return copy


def _replace(path: Path, content: bytes) -> None:
    new = path.with_name(path.name + ".new")
    new.write_bytes(content)
    new.replace(path)
