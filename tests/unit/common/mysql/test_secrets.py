"""A URI reads only what the node's configuration allows, and an answer does not tell what else is there."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hedgerow.common.config import NodeConfig
from hedgerow.common.errors import BadInput, SecretUnreadable
from hedgerow.common.mysql import secrets
from hedgerow.common.mysql.connect import connect
from hedgerow.common.mysql.uri import ServerUri


@pytest.fixture
def allowed(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "allowed"
    directory.mkdir()
    secrets.restrict([str(directory)], "MY_DB_")
    yield directory
    secrets.restrict([tempfile.gettempdir()], secrets.DEFAULT_PREFIX)


def test_a_file_below_the_directory(allowed: Path) -> None:
    (allowed / "deep").mkdir()
    (allowed / "deep" / "db").write_text("open sesame\n")
    assert ServerUri.parse(f"mysql://u@h/?password_file={allowed}/deep/db").password() == "open sesame"


def test_links_inside_the_directory_as_kubernetes_makes_them(allowed: Path) -> None:
    (allowed / "..2026").mkdir()
    (allowed / "..2026" / "db").write_text("open sesame")
    (allowed / "..data").symlink_to("..2026")
    (allowed / "db").symlink_to("..data/db")
    assert ServerUri.parse(f"mysql://u@h/?password_file={allowed}/db").password() == "open sesame"


@pytest.mark.parametrize(
    "path", ["{outside}/there", "{outside}/not-there", "{allowed}/../there", "{allowed}/link", "{allowed}-too/there"]
)
@pytest.mark.parametrize("option", ["password_file", "ssl_ca", "ssl_cert", "server_public_key"])
def test_whatever_lies_outside_is_refused_alike(allowed: Path, path: str, option: str) -> None:
    outside = allowed.parent
    (outside / "there").write_text("secret of somebody else")
    (outside / "allowed-too").mkdir()
    (outside / "allowed-too" / "there").write_text("secret of somebody else")
    (allowed / "link").symlink_to(outside / "there")
    named = path.format(allowed=allowed, outside=outside)
    with pytest.raises(Exception, match="is not below a directory that this node reads secrets from") as caught:
        connect(ServerUri.parse(f"mysql://u@127.0.0.1:1/?{option}={named}"), "source")
    assert "somebody else" not in str(caught.value)
    assert "No such file" not in str(caught.value)


def test_variables_have_the_prefix(allowed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_DB_ONE", "open sesame")
    monkeypatch.setenv("HEDGEROW_ETCD_PASSWORD", "etcd's own")
    assert ServerUri.parse("mysql://u@h/?password_env=MY_DB_ONE").password() == "open sesame"
    for name in ("HEDGEROW_ETCD_PASSWORD", "PATH", "my_db_one", "NOT_SET_ANYWHERE"):
        with pytest.raises(SecretUnreadable, match="does not begin with MY_DB_"):
            ServerUri.parse(f"mysql://u@h/?password_env={name}").password()


@pytest.mark.parametrize("way", ["itself", "link", "hard link", "dots"])
def test_the_nodes_own_files_are_never_named(allowed: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """Where a public authority vouches for any server, a password file is shown to any server."""
    monkeypatch.setattr(secrets, "_own", set())
    (allowed / "..data").mkdir()
    (allowed / "..data" / "tls.key").write_text("private key")
    (allowed / "tls.key").symlink_to("..data/tls.key")
    config = NodeConfig.model_construct(tls_key=allowed / "tls.key")
    secrets.reserve(config.own_files)
    named = allowed / "tls.key"
    match way:
        case "link":
            named = allowed / "other"
            named.symlink_to("..data/tls.key")
        case "hard link":
            named = allowed / "other"
            named.hardlink_to(allowed / "..data" / "tls.key")
        case "dots":
            named = allowed / ".." / "allowed" / "..data" / "tls.key"
    for option in ("password_file", "server_public_key", "ssl_ca", "ssl_cert"):
        with pytest.raises(Exception, match="file of the node's own"):
            connect(ServerUri.parse(f"mysql://u@127.0.0.1:1/?{option}={named}"), "source")


def test_the_nodes_own_variable_is_never_named(allowed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEDGEROW_ETCD_PASSWORD", "etcd's own")
    secrets.restrict([str(allowed)], "HEDGEROW_")
    with pytest.raises(SecretUnreadable):
        ServerUri.parse("mysql://u@h/?password_env=HEDGEROW_ETCD_PASSWORD").password()


def test_the_defaults_let_no_setting_of_the_node_through() -> None:
    assert not any(f"HEDGEROW_{key.upper()}".startswith(secrets.DEFAULT_PREFIX) for key in NodeConfig.model_fields)


def test_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    assert NodeConfig.load(None, {}).secrets_dirs == secrets.DEFAULT_DIRECTORIES
    monkeypatch.setenv("HEDGEROW_SECRETS_DIRS", "/a:/b/c")
    assert NodeConfig.load(None, {}).secrets_dirs == ("/a", "/b/c")
    for wrong in ("relative", "/", "/a/../"):
        with pytest.raises(BadInput, match="absolute path"):
            NodeConfig.load(None, {"secrets_dirs": (wrong,)})
