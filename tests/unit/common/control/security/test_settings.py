"""What a configuration may say: every way to be open by mistake is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import structlog

from hedgerow.common.config import ClientConfig, NodeConfig
from hedgerow.common.control.security.build import Security
from hedgerow.common.errors import BadInput
from hedgerow.sandbox.certificates import Authority

TLS = {"tls_ca": Path("/ca"), "tls_cert": Path("/cert"), "tls_key": Path("/key"), "role_node": ("DNS:a.b.c",)}


def load(**flags: Any) -> NodeConfig:
    return NodeConfig.load(None, {"name": "n", **flags})


@pytest.mark.parametrize("listen", ["127.0.0.1:7300", "127.8.8.8:7300", "[::1]:7300", "localhost:7300"])
def test_plain_is_for_loopback(listen: str) -> None:
    assert not load(listen=listen).insecure


@pytest.mark.parametrize(
    "listen", ["0.0.0.0:7300", "[::]:7300", "10.0.0.1:7300", "db1.example.com:7300", "localhost.evil.org:7300"]
)
def test_plain_elsewhere_must_be_written_down(listen: str) -> None:
    with pytest.raises(BadInput, match="insecure = true"):
        load(listen=listen, advertise="10.0.0.1:7300")
    assert load(listen=listen, advertise="10.0.0.1:7300", insecure=True).insecure


def test_the_start_warns_of_insecure() -> None:
    with structlog.testing.capture_logs() as logs:
        Security.build(load(listen="0.0.0.0:7300", advertise="10.0.0.1:7300", insecure=True))
    assert [(line["event"], line["log_level"]) for line in logs] == [("insecure", "warning")]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"tls_ca": Path("/ca")}, "go together: only tls_ca"),
        ({**TLS, "tls_key": None}, "go together"),
        ({**TLS, "insecure": True}, "contradict"),
        ({**TLS, "role_node": ()}, "role_node must name"),
        ({"role_admin": ("CN:alice",)}, "role_admin needs TLS"),
        ({"token_hashes": Path("/t"), "token_listen": "127.0.0.1:1"}, "token_listen and token_hashes need TLS"),
        ({"jwt_keys": Path("/t")}, "jwt_keys needs TLS"),
        ({**TLS, "token_hashes": Path("/t")}, "token_listen goes with"),
        ({**TLS, "token_listen": "127.0.0.1:1"}, "token_listen goes with"),
        ({**TLS, "token_listen": "127.0.0.1:1", "jwt_keys": Path("/k")}, "jwt_keys, jwt_issuer and jwt_audience"),
        ({**TLS, "role_admin": ("alice",)}, "role_admin: 'alice' is not KIND:NAME"),
        ({**TLS, "role_admin": ("DNS:a.b.c",)}, "both name"),
        ({"allowed_hosts": ("10.0.0.1/8",)}, "allowed_hosts"),
    ],
)
def test_what_does_not_fit_together_is_refused(flags: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        load(**flags)


def test_names_come_from_the_environment_and_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"tls_ca": "/ca", "tls_cert": "/c", "tls_key": "/k", "role_node": ["DNS:a.b.c"]}
    (tmp_path / "n.toml").write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()))
    monkeypatch.setenv("HEDGEROW_ROLE_ADMIN", "CN:alice, CN:bob")
    config = NodeConfig.load(tmp_path / "n.toml", {})
    assert (config.role_node, config.role_admin) == (("DNS:a.b.c",), ("CN:alice", "CN:bob"))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "tls")


def with_tls(authority: Authority, name: str, **more: Any) -> NodeConfig:
    cert, key = authority.issue(name)
    return load(tls_ca=authority.ca_file, tls_cert=cert, tls_key=key, **{"role_node": ("CN:node1",), **more})


def test_a_node_whose_peers_would_refuse_it_does_not_start(authority: Authority) -> None:
    Security.build(with_tls(authority, "node1"))
    with pytest.raises(BadInput, match="CN:node2, DNS:localhost and role_node CN:node1"):
        Security.build(with_tls(authority, "node2"))


@pytest.mark.parametrize(
    ("advertise", "hosts", "fits"),
    [
        ("n1.peers.example:1", ["n1.peers.example"], True),
        ("N1.peers.example:1", ["*.peers.example"], True),
        ("n1.peers.example:1", ["localhost", "127.0.0.1"], False),
        ("a.n1.peers.example:1", ["*.peers.example"], False),
        ("10.0.0.7:1", ["10.0.0.7"], True),
        ("10.0.0.7:1", ["10.0.0.8"], False),
        ("n1.peers.example:1", [], False),
    ],
)
def test_a_certificate_is_for_the_host_that_peers_call(
    authority: Authority, advertise: str, hosts: list[str], fits: bool
) -> None:
    authority.renew("node1", hosts=hosts)
    config = with_tls(authority, "node1", listen="0.0.0.0:1", advertise=advertise)
    if fits:
        Security.build(config)
        return
    with pytest.raises(BadInput, match="peers call this node"):
        Security.build(config)


@pytest.mark.parametrize("what", ["expired", "one use", "another key", "no certificate", "no key", "missing", "no ca"])
def test_files_that_cannot_serve_stop_the_start(authority: Authority, tmp_path: Path, what: str) -> None:
    import datetime

    from cryptography.x509.oid import ExtendedKeyUsageOID

    config = with_tls(authority, "node1")
    assert config.tls_cert is not None
    assert config.tls_key is not None
    match what:
        case "expired":
            authority.renew("node1", valid=datetime.timedelta(days=-1))
        case "one use":
            authority.renew("node1", uses=[ExtendedKeyUsageOID.SERVER_AUTH])
        case "another key":
            config.tls_key.write_bytes(authority.issue("other")[1].read_bytes())
        case "no certificate":
            config.tls_cert.write_text("nonsense")
        case "no key":
            config.tls_key.write_text("nonsense")
        case "missing":
            config.tls_key.unlink()
        case "no ca":
            authority.ca_file.write_text("")
    said = {
        "expired": "not valid now",
        "one use": "lacks the extended key usage clientAuth",
        "another key": "does not belong to the certificate",
        "no certificate": "tls_cert .* holds no certificates",
        "no key": "tls_key .* is not a private key",
        "missing": "cannot read tls_key",
        "no ca": "tls_ca .* holds no certificates",
    }
    with pytest.raises(BadInput, match=said[what]):
        Security.build(config)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"tls_cert": Path("/c")}, "tls_cert and tls_key go together"),
        ({"tls_cert": Path("/c"), "tls_key": Path("/k")}, "goes with tls_ca"),
        ({"token_file": Path("/t")}, "token_file goes with tls_ca"),
    ],
)
def test_a_client_sends_nothing_to_whom_it_does_not_know(flags: dict[str, Path], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        ClientConfig.load(None, flags)


@pytest.mark.parametrize("content", ["", "two words", "line\nline", "ü"])
def test_a_token_file_that_holds_no_token_is_refused_and_not_shown(
    authority: Authority, tmp_path: Path, content: str
) -> None:
    (tmp_path / "token").write_text(content)
    config = ClientConfig.load(None, {"tls_ca": authority.ca_file, "token_file": tmp_path / "token"})
    with pytest.raises(BadInput, match="does not hold one token") as caught:
        config.credentials()
    assert not content or content not in str(caught.value)
