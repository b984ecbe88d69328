from __future__ import annotations

from pathlib import Path

import pytest

from hedgerow.common.config import ClientConfig, NodeConfig
from hedgerow.common.errors import BadInput


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ETCD", "LEASE_TTL", "ETCD_PASSWORD", "ADDR", "OUTPUT"):
        monkeypatch.delenv(f"HEDGEROW_{name}", raising=False)


def write(folder: Path, text: str) -> Path:
    file = folder / "node.toml"
    file.write_text(text)
    return file


def test_flags_win_over_environment_over_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path, 'etcd = ["a:1"]\nlease_ttl = 3\ncluster = "file"\n')
    monkeypatch.setenv("HEDGEROW_ETCD", "b:1, c:2")
    monkeypatch.setenv("HEDGEROW_LEASE_TTL", "4")
    config = NodeConfig.load(file, {"lease_ttl": 6, "cluster": None})
    assert (config.lease_ttl, config.etcd, config.cluster) == (6, ("b:1", "c:2"), "file")


def test_every_bad_field_is_named_at_once(tmp_path: Path) -> None:
    file = write(tmp_path, 'etcd = ["a"]\nlease_ttl = "soon"\nfoo = 1\n')
    with pytest.raises(BadInput) as caught:
        NodeConfig.load(file, {})
    for expected in ("not host:port: 'a'", "lease_ttl", "'soon'", "foo", str(file)):
        assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('listen = "0.0.0.0:7300"', "advertise must name"),
        ('etcd_cert = "c.pem"', "go together"),
        ('etcd_user = "root"', "etcd_user goes with"),
        ('etcd_user = "root"\netcd_password = "hunter2"\netcd_password_file = "f"', "not both"),
        ("lease_ttl = [", "is not TOML"),
        ("etcd = 5", "not a list of host:port"),
        ("etcd = [1, 2]", "not a list of host:port"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(BadInput, match=expected) as caught:
        NodeConfig.load(write(tmp_path, text), {})
    assert "hunter2" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"cannot read .*absent\.toml"):
        NodeConfig.load(tmp_path / "absent.toml", {})


def test_the_password_file_is_read_anew(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("one\n")
    config = NodeConfig.load(None, {"etcd_user": "root", "etcd_password_file": secret})
    assert config.read_etcd_password() == "one"
    secret.write_text("two\n")
    assert config.read_etcd_password() == "two"
    secret.unlink()
    with pytest.raises(BadInput, match="cannot read etcd_password_file"):
        config.read_etcd_password()


def test_the_client_refuses_an_address_without_a_port() -> None:
    with pytest.raises(BadInput, match="not host:port"):
        ClientConfig.load(None, {"addr": "localhost"})
