"""Commands that make tokens and certificates."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from hedgerow.cli.main import run
from hedgerow.common.control.security.caller import read_certificate
from hedgerow.common.control.security.channels import read_token
from hedgerow.common.control.security.methods import Role
from hedgerow.common.control.security.tokens import TokenFile


def test_a_token_goes_to_a_file_and_its_line_to_the_screen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "token"
    assert run(["token", "alice", "operator", "--out", str(out), "--days", "3"]) == 0
    shown = capsys.readouterr()
    token = read_token(out)
    assert token not in shown.out + shown.err
    assert out.stat().st_mode & 0o777 == 0o600
    (tmp_path / "tokens").write_text(shown.out)
    found = TokenFile(tmp_path / "tokens").identify(token)
    assert found is not None
    assert (found.name, found.roles) == ("TOKEN:alice", frozenset((Role.OPERATOR,)))


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "token").write_text("of somebody else")
    assert run(["token", "alice", "viewer", "--out", str(tmp_path / "token")]) == 4
    assert (tmp_path / "token").read_text() == "of somebody else"
    assert "choose another file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["token", "al/ice", "viewer", "--out", "OUT"],
        ["token", "alice", "node", "--out", "OUT"],
        ["token", "alice", "viewer"],
        ["token", "alice", "viewer", "--out", "OUT/none/token"],
        ["certificates", "OUT", "--user", "a/b"],
        ["certificates", "OUT", "--user", "ca"],
        ["certificates", "OUT", "--user", "a", "--node", "a"],
    ],
)
def test_what_cannot_be_made_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert run([part.replace("OUT", str(tmp_path / "out")) for part in arguments]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_certificates_for_a_trial(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = tmp_path / "tls"
    assert run(["certificates", str(directory), "--node", "127.0.0.1", "--node", "db.example", "--user", "alice"]) == 0
    assert 'role_node = ["CN:127.0.0.1", "CN:db.example"]' in capsys.readouterr().out
    assert read_certificate((directory / "db.example.pem").read_bytes()).names == ("CN:db.example", "DNS:db.example")
    alice = x509.load_pem_x509_certificate((directory / "alice.pem").read_bytes())
    uses = alice.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(uses) == [ExtendedKeyUsageOID.CLIENT_AUTH], "a user serves nobody"
    assert all(key.stat().st_mode & 0o777 == 0o600 for key in directory.glob("*.key"))
    assert not (directory / "ca.key").exists()
    assert run(["certificates", str(directory), "--user", "bob"]) == 4, "the authority's key is gone"
