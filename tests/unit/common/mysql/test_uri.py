"""Server URIs: what is read, what is refused, and that no secret leaves them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.common.errors import BadInput, SecretUnreadable
from hedgerow.common.mysql.uri import ServerUri, redact

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("mysql://u@h", "mysql://u@h:3306/"),
        (" mysql://u@h:3307/ ", "mysql://u@h:3307/"),
        ("mysql://u@[::1]:1/", "mysql://u@[::1]:1/"),
        ("mysql://a%40b@H/?password_file=/x%20y", "mysql://a%40b@h:3306/?password_file=/x%20y"),
        ("mysql://u@h/?ssl_ca=/ca&password_env=P", "mysql://u@h:3306/?password_env=P&ssl_ca=/ca"),
    ],
)
def test_canonical_form(text: str, canonical: str) -> None:
    uri = ServerUri.parse(text)
    assert str(uri) == canonical
    assert ServerUri.parse(str(uri)) == uri


@pytest.mark.parametrize(
    "text",
    [
        f"mysql://u:{SECRET}@h",
        f"mysql://u:{SECRET}/x@h",
        f"mysql://u:{SECRET}?x#{SECRET}@h",
        f"mysql://u:a@{SECRET}@h",
        f"mysql://u%3A{SECRET}@h",
        f"u:{SECRET}@h",
        f"mysql:u:{SECRET}@h",
        f"//u:{SECRET}@h:1",
        f"mysql://u@h/?password={SECRET}",
        f"mysql://u@h/?passwd={SECRET}&password_file=/x",
        f"postgres://u:{SECRET}@h",
        f"mysql://:{SECRET}@h",
    ],
)
def test_a_password_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(BadInput, match="Example: mysql://") as caught:
        ServerUri.parse(text)
    assert SECRET not in str(caught.value)
    assert SECRET not in redact(text)


def test_an_inline_password_is_told_the_two_ways_that_work() -> None:
    with pytest.raises(BadInput, match=r"\?password_file=.*\?password_env="):
        ServerUri.parse(f"mysql://u:{SECRET}@h")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "does not begin with mysql://"),
        ("postgres://u@h", "does not begin with mysql://"),
        ("mysql://h", "names no user"),
        ("mysql://u@", "names no host"),
        ("mysql://u@h:99999", "cannot be read"),
        ("mysql://u@h:0", "port 0"),
        ("mysql://u@h/shop", "something after host:port"),
        ("mysql://u@h/?sslca=/x", "unknown option 'sslca'"),
        ("mysql://u@h/?ssl_ca=/x&ssl_ca=/y", "ssl_ca twice"),
        ("mysql://u@h/?ssl_ca=", "without a value"),
        ("mysql://u@h/?password_file=x", "relative path"),
        ("mysql://u@h/?password_file=/x&password_env=Y", "keep one"),
        ("mysql://u@h/?ssl_mode=on", "ssl_mode 'on'"),
        ("mysql://u@h/?ssl_mode=disabled&ssl_ca=/x", "would not use them"),
        ("mysql://u@h/?ssl_mode=verify_ca", "without ssl_ca"),
        ("mysql://u@h/?ssl_key=/x", "ssl_key without ssl_cert"),
    ],
)
def test_refusals_say_why(text: str, why: str) -> None:
    with pytest.raises(BadInput) as caught:
        ServerUri.parse(text)
    assert why in str(caught.value)
    assert "Example: mysql://" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("mysql://u@127.0.0.1", "disabled"),
        ("mysql://u@localhost", "disabled"),
        ("mysql://u@db", "preferred"),
        ("mysql://u@127.0.0.1/?ssl_mode=required", "required"),
        ("mysql://u@db/?ssl_ca=/x", "verify_identity"),
        ("mysql://u@db/?ssl_cert=/x", "required"),
        ("mysql://u@db/?ssl_ca=/x&ssl_mode=verify_ca", "verify_ca"),
    ],
)
def test_encryption(text: str, mode: str) -> None:
    assert ServerUri.parse(text).encryption == mode


def test_password_from_file_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n")
    monkeypatch.setenv("HEDGEROW_SECRET_DB", SECRET)
    for query in (f"password_file={path}", "password_env=HEDGEROW_SECRET_DB"):
        uri = ServerUri.parse(f"mysql://u@h/?{query}")
        assert uri.password() == SECRET
        assert SECRET not in repr(uri) + str(uri)
    assert ServerUri.parse("mysql://u@h").password() == ""


def test_a_missing_secret_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEDGEROW_SECRET_DB", raising=False)
    with pytest.raises(SecretUnreadable, match=r"HEDGEROW_SECRET_DB.* is not set"):
        ServerUri.parse("mysql://u@h/?password_env=HEDGEROW_SECRET_DB").password()
    with pytest.raises(SecretUnreadable, match="No such file"):
        ServerUri.parse(f"mysql://u@h/?password_file={tmp_path}/none").password()
    (tmp_path / "empty").touch()
    with pytest.raises(SecretUnreadable, match="is empty"):
        ServerUri.parse(f"mysql://u@h/?password_file={tmp_path}/empty").password()


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=":"), min_size=1, max_size=20)


@given(TEXT, st.integers(1, 65535), TEXT)
def test_any_user_and_path_survive(user: str, port: int, path: str) -> None:
    uri = ServerUri("db", port, user, password_file=f"/{path}")
    assert ServerUri.parse(str(uri)) == uri
