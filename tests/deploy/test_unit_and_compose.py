"""The systemd unit by systemd's own tools, and what unit, its configuration and the compose file say of Hedgerow."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hedgerow import node
from hedgerow.cli.changefeed import _read_file
from hedgerow.common.config import NodeConfig
from tests.deploy.manifests import DEPLOY, yaml

UNIT = DEPLOY / "systemd" / "hedgerow.service"
CONFIG = DEPLOY / "systemd" / "node.toml"
COMPOSE = DEPLOY / "compose" / "compose.yaml"
EXPOSURE = 1.5  # systemd's scale goes from 0 to 10; below 2 it says OK

analyze = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="NOT TESTED: no systemd-analyze here")


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The unit with a program that is there."""
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/hedgerow/bin/hedgerow", str(shutil.which("true"))))
    return unit


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return loaded


@analyze
def test_systemd_accepts_the_unit(installed: Path) -> None:
    ended = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(installed)], capture_output=True, text=True, check=False
    )
    # A machine has units of its own, of which it may complain as well.
    assert [line for line in ended.stderr.splitlines() if installed.name in line] == []


@analyze
def test_systemd_calls_the_unit_hardened(installed: Path) -> None:
    ended = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", str(installed)], capture_output=True, text=True, check=True
    )
    found = re.search(r"exposure level for \S+: ([\d.]+)", ended.stdout)
    assert found, ended.stdout
    assert float(found[1]) <= EXPOSURE, ended.stdout


def test_a_stop_has_time_to_hand_over_and_a_bad_configuration_is_not_tried_again() -> None:
    settings = dict(line.split("=", 1) for line in UNIT.read_text().splitlines() if re.match(r"\w+=", line))
    longest = NodeConfig.model_fields["drain_deadline"].default + node._HARD_STOP_SECONDS
    assert int(settings["TimeoutStopSec"]) > longest
    assert settings["RestartPreventExitStatus"] == "2"
    assert settings["ExecStart"].endswith(" node --config /etc/hedgerow/node.toml")


def test_the_units_configuration_can_be_used() -> None:
    config = NodeConfig.load(CONFIG, {})
    assert config.probes is not None
    assert config.drain_deadline == NodeConfig.model_fields["drain_deadline"].default


def test_compose_starts_nodes_that_can_be_used(compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    names = [name for name in compose["services"] if name.startswith("node")]
    assert len(names) == 3
    for name in names:
        service = compose["services"][name]
        for key, value in service["environment"].items():
            assert key.removeprefix("HEDGEROW_").lower() in NodeConfig.model_fields, key
            monkeypatch.setenv(key, value)
        config = NodeConfig.load(None, {})
        assert config.name == name
        assert config.advertise == f"{name}:7300"
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        grace = int(service["stop_grace_period"].removesuffix("s"))
        assert grace > config.drain_deadline + node._HARD_STOP_SECONDS


def test_compose_names_only_what_is_there(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        assert not re.search(r"(:latest|^[^:$]+)$", service["image"]), name
        assert set(service.get("secrets", [])) <= set(compose["secrets"]), name
        assert set(service.get("depends_on", [])) <= set(services), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in compose["volumes"] or (COMPOSE.parent / source).is_file(), f"{name}: {source}"
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
    settings = _read_file(COMPOSE.parent / "shop.toml")
    for end in ("source", "sink"):
        host = settings[end].partition("@")[2].partition(":")[0]
        secret = settings[end].partition("/run/secrets/")[2]
        assert host in services
        assert secret in services["node1"]["secrets"]
