"""Parsing and failing of commands, without a cluster."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from hedgerow.cli import main
from hedgerow.cli.client import Client
from hedgerow.common import errors


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, object]]:
    """What would be sent; every call fails with NotFound."""
    sent: list[tuple[str, object]] = []

    def call(self: Client, method: str, request: object) -> object:
        sent.append((method, request))
        raise errors.NotFound("no such thing")

    monkeypatch.setattr(Client, "call", call)
    return sent


def leaves(kind: type[errors.HedgerowError]) -> list[type[errors.HedgerowError]]:
    below = kind.__subclasses__()
    return [leaf for each in below for leaf in leaves(each)] if below else [kind]


@pytest.mark.parametrize("kind", leaves(errors.HedgerowError), ids=lambda kind: kind.__name__)
def test_every_error_has_an_exit_code(kind: type[errors.HedgerowError]) -> None:
    first = next(code for known, code in main.EXIT_CODES if issubclass(kind, known))
    assert 1 <= first <= 7
    assert (first == 6) == issubclass(kind, errors.Unavailable)


def test_a_config_file_and_options_make_one_request(tmp_path: Path, requests: list[tuple[str, object]]) -> None:
    file = tmp_path / "feed.toml"
    file.write_text(
        'source = "mysql://a@s:1/"\nsink = "mysql://a@t:2/"\nfilter = ["a.*"]\nlanes = 2\nconsistency = "transaction"\n'
    )
    code = main.run(
        ["changefeed", "create", "shop", "--config", str(file), "--filter", "b.*", "--batch-bytes", "65536"]
    )
    assert code == 3
    ((method, request),) = requests
    assert method == "CreateChangefeed"
    assert list(request.filter) == ["b.*"]  # type: ignore[attr-defined]
    assert request.options.lanes == 2  # type: ignore[attr-defined]
    assert request.options.batch_bytes == 65536  # type: ignore[attr-defined]
    assert (request.source, request.start) == ("mysql://a@s:1/", "now")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sources = 1", "sources is not a setting"),
        ("lanes = 'two'", "is not a number"),
        ("lanes = -1", "is not a number above 0"),
        ("filter = 'a.*'", "is not a list of strings"),
        ("source = 3", "is not a string"),
        ("source = ", "is not TOML"),
        ("consistency = 'eventual'\nsource = 'x'\nsink = 'y'", "table or transaction"),
        ("sink = 'y'", "--source is missing"),
    ],
)
def test_a_bad_config_file_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], requests: list[tuple[str, object]], text: str, expected: str
) -> None:
    file = tmp_path / "feed.toml"
    file.write_text(text)
    assert main.run(["changefeed", "create", "shop", "--config", str(file)]) == 2
    assert expected in capsys.readouterr().err
    assert requests == []


def test_update_needs_something_to_update(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], requests: list[tuple[str, object]]
) -> None:
    assert main.run(["changefeed", "update", "shop"]) == 2
    assert "nothing to update" in capsys.readouterr().err
    file = tmp_path / "feed.toml"
    file.write_text('start = "now"')
    assert main.run(["changefeed", "update", "shop", "--config", str(file)]) == 2
    assert "cannot be changed" in capsys.readouterr().err
    assert main.run(["changefeed", "update", "shop", "--filter", "a.*"]) == 3
    ((_, request),) = requests
    assert request.HasField("filter")  # type: ignore[attr-defined]
    assert not request.HasField("source")  # type: ignore[attr-defined]


def test_remove_asks_first(
    requests: list[tuple[str, object]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert main.run(["changefeed", "remove", "shop", "--output", "json"]) == 2
    assert "--yes" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    assert main.run(["changefeed", "remove", "shop"]) == 130  # no answer
    assert requests == []
    assert main.run(["changefeed", "remove", "shop", "--yes"]) == 3
    assert "error: no such thing" in capsys.readouterr().err


def test_a_defect_shows_no_traceback(
    requests: list[tuple[str, object]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(self: Client, method: str, request: object) -> object:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(Client, "call", fail)
    assert main.run(["changefeed", "list"]) == 1
    shown = capsys.readouterr().err
    assert "a bug in hedgerow: ZeroDivisionError" in shown
    assert "Traceback" not in shown


def test_version_completion_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["version"]) == 0
    assert capsys.readouterr().out.startswith("hedgerow 0.")
    for shell in ("bash", "zsh", "fish"):
        assert main.run(["completion", shell]) == 0
        assert "_HEDGEROW_COMPLETE" in capsys.readouterr().out
    assert main.run(["--help"]) == 0
    assert "Exit codes" in capsys.readouterr().out
    assert main.run(["changefeed", "explode"]) == 2
