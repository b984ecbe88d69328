"""TLS with client certificates; user and password, with logins that expire."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator

import pytest

from hedgerow.common.errors import BadInput, EtcdUnavailable
from hedgerow.common.etcd import Etcd, EtcdConfig, EtcdRefused, Mirror, Put, Session, Watch, absent, prefix
from hedgerow.sandbox.certificates import Authority
from hedgerow.sandbox.etcd import EtcdCluster


@pytest.fixture(scope="module")
def tls_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    with EtcdCluster(tmp_path_factory.mktemp("tls"), members=1, tls=True) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def auth_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    with EtcdCluster(tmp_path_factory.mktemp("auth"), members=1, auth=True, token_ttl=1) as cluster:
        yield cluster


async def test_tls_with_a_client_certificate(tls_cluster: EtcdCluster, root: str) -> None:
    async with Etcd(tls_cluster.config) as etcd:
        mirror = await Mirror.open(etcd, prefix(root))
        session = await Session.open(etcd, 5)
        await etcd.txn([], [Put(f"{root}a", b"1", session.lease)])
        await asyncio.wait_for(mirror.changed(mirror.snapshot.revision), 5)
        await session.close()
        await mirror.close()


async def test_without_a_client_certificate_etcd_is_not_entered(tls_cluster: EtcdCluster, root: str) -> None:
    config = dataclasses.replace(tls_cluster.config, cert_file=None, key_file=None, timeout=0.5)
    async with Etcd(config) as etcd:
        with pytest.raises(EtcdUnavailable):
            await etcd.get(root)


async def test_a_server_of_another_authority_is_not_trusted(
    tls_cluster: EtcdCluster, root: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Authority(tmp_path_factory.mktemp("other"))
    config = dataclasses.replace(tls_cluster.config, ca_file=other.ca_file, timeout=0.5)
    async with Etcd(config) as etcd:
        with pytest.raises(EtcdUnavailable, match=r"(?i)certificate"):
            await etcd.get(root)


def test_a_certificate_that_cannot_be_read_is_named(tmp_path_factory: pytest.TempPathFactory) -> None:
    missing = tmp_path_factory.mktemp("none") / "ca.pem"
    with pytest.raises(BadInput, match=r"the CA, .*ca\.pem: No such file"):
        EtcdConfig(("h:1",), ca_file=missing).credentials()


async def test_logins_that_expire_are_renewed(auth_cluster: EtcdCluster, root: str) -> None:
    logins = 0

    def password() -> str:
        nonlocal logins
        logins += 1
        return "correct horse"

    async with Etcd(dataclasses.replace(auth_cluster.config, password=password)) as etcd:
        session = await Session.open(etcd, 2)
        mirror = await Mirror.open(etcd, prefix(root))
        key = f"{root}a"
        revision = (await etcd.txn([absent(key)], [Put(key, b"1", session.lease)])).revision
        assert logins == 1
        async with asyncio.timeout(10):
            while logins == 1:  # etcd forgets a login after 1 s, at its next tick
                await asyncio.sleep(1.5)
                await asyncio.gather(etcd.get(key), etcd.range(prefix(root)), etcd.get(key))
        assert logins == 2, "one login for all who were refused"
        async with Watch(etcd, prefix(root), revision) as watch:
            assert [event.key for event in (await anext(watch)).events] == [key]
        await asyncio.wait_for(mirror.until(lambda snapshot: key in snapshot.items), 5)
        assert session.valid
        await mirror.close()
        await session.close()


async def test_a_watch_whose_login_has_expired_logs_in_again(auth_cluster: EtcdCluster, root: str) -> None:
    async with Etcd(auth_cluster.config) as etcd:
        revision = (await etcd.txn([], [Put(f"{root}a", b"1")])).revision
        await asyncio.sleep(2.5)
        async with Watch(etcd, prefix(root), revision) as watch:
            batch = await asyncio.wait_for(anext(watch), 5)
            assert [event.key for event in batch.events] == [f"{root}a"]


async def test_a_wrong_password_is_refused_at_once(auth_cluster: EtcdCluster, root: str) -> None:
    config = dataclasses.replace(auth_cluster.config, password=lambda: "wrong")
    async with Etcd(config) as etcd:
        with pytest.raises(EtcdRefused, match="check etcd's user and password") as caught:
            await etcd.get(root)
        assert "wrong" not in str(caught.value)
        async with Watch(etcd, prefix(root), 1) as watch:
            with pytest.raises(EtcdRefused, match="check etcd's user and password"):
                await asyncio.wait_for(anext(watch), 5)


async def test_a_missing_login_is_named(auth_cluster: EtcdCluster, root: str) -> None:
    async with Etcd(EtcdConfig(auth_cluster.endpoints)) as etcd:
        with pytest.raises(EtcdRefused, match="configure a user and a password"):
            await etcd.get(root)
        async with Watch(etcd, prefix(root), 1) as watch:
            with pytest.raises(EtcdRefused, match="configure a user and a password"):
                await asyncio.wait_for(anext(watch), 5)


async def test_keys_that_the_user_may_not_touch(auth_cluster: EtcdCluster) -> None:
    async with Etcd(auth_cluster.config) as etcd:
        with pytest.raises(EtcdRefused, match="grant the user's role"):
            await etcd.get("/elsewhere")
        async with Watch(etcd, prefix("/elsewhere/"), 1) as watch:
            with pytest.raises(EtcdRefused, match="grant the user's role"):
                await asyncio.wait_for(anext(watch), 5)


async def test_credentials_are_no_hindrance_where_etcd_asks_for_none(cluster: EtcdCluster, root: str) -> None:
    config = dataclasses.replace(cluster.config, username="u", password=lambda: "p")
    async with Etcd(config) as etcd:
        assert (await etcd.txn([], [Put(f"{root}a", b"1")])).succeeded
