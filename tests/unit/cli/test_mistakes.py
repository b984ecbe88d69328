"""What a user mistypes is named, with what to write instead: no traceback, no default in silence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import grpc
import pytest

from hedgerow.cli.main import run
from hedgerow.common.config import ClientConfig, NodeConfig
from hedgerow.common.control.rpc import to_error
from hedgerow.common.errors import BadInput


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (
            {"listen": "0.0.0.0:7300"},
            "listen is 0.0.0.0:7300: peers cannot call that, so advertise must name a host:port",
        ),
        ({"etcd": ("http://etcd1:2379",)}, "'http://etcd1:2379' begins with a scheme; leave it out"),
        ({"etcd": ("etcd1:2379 etcd2:2379",)}, "not one host:port"),
        ({"etcd_user": "root"}, "etcd_user goes with etcd_password_file or HEDGEROW_ETCD_PASSWORD"),
    ],
)
def test_a_node_that_cannot_start_says_why(flags: dict[str, object], said: str) -> None:
    with pytest.raises(BadInput) as caught:
        NodeConfig.load(None, flags)
    assert said in str(caught.value)
    for foreign in ("Value error", "configuration or file", "HEDGEROW_CONFIGURATION", "Input should"):
        assert foreign not in str(caught.value)


def test_the_address_of_the_client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HEDGEROW_ADDR", "")
    assert ClientConfig.load(None, {}).addr == "127.0.0.1:7300"
    monkeypatch.setenv("HEDGEROW_ADDR", "a:1,b:2")
    with pytest.raises(BadInput, match="not one host:port: 'a:1,b:2'"):
        ClientConfig.load(None, {})
    assert ClientConfig.load(None, {"addr": "[::1]:7300"}).addr == "[::1]:7300"
    file = tmp_path / "client.toml"
    file.write_text('adr = "a:1"\n')
    with pytest.raises(BadInput, match=r"adr \(in .*\) is not a setting"):
        ClientConfig.load(file, {"addr": "a:1"})


@pytest.mark.parametrize(
    ("code", "details", "said"),
    [
        (grpc.StatusCode.UNAVAILABLE, "Failed parsing HTTP/2", "is it the port of something else?"),
        (grpc.StatusCode.UNAVAILABLE, "Ssl handshake failed", "is TLS on at one end only"),
        (grpc.StatusCode.UNIMPLEMENTED, "unknown service hedgerow.v1.Admin", "no Hedgerow node"),
    ],
)
def test_who_else_may_listen_there(code: grpc.StatusCode, details: str, said: str) -> None:
    nothing = grpc.aio.Metadata()
    error = grpc.aio.AioRpcError(code, nothing, nothing, details=details)
    assert said in str(to_error(error, "h:1"))
    assert details in str(to_error(error, "h:1"))


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("hedgerow ")


def _hedgerow(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "hedgerow", *arguments]
    return subprocess.run(
        argv, capture_output=True, text=True, env={**os.environ, **environment}, timeout=60, check=False, input=""
    )


def test_a_name_that_the_locale_cannot_read() -> None:
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = _hedgerow("changefeed", "get", "näme", "--addr", "127.0.0.1:1", **locale)
    assert done.returncode == 2
    assert "set LC_ALL to a UTF-8 locale" in done.stderr
    assert "defect" not in done.stderr


def test_the_configuration_comes_from_standard_input() -> None:
    done = _hedgerow("changefeed", "create", "shop", "--config", "-", "--addr", "127.0.0.1:1")
    assert done.returncode == 2
    assert "--source is missing" in done.stderr


INTERRUPTED = """
import os, runpy, signal, sys

class AtTheImport:
    def find_spec(self, name, path=None, target=None):
        if name == "grpc":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, AtTheImport())
runpy.run_module("hedgerow", run_name="__main__")
"""


def test_an_interrupt_while_it_starts_shows_no_traceback() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGINT
    assert done.stderr == ""
