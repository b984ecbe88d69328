"""What the trial does beside starting nodes, on a real cluster: the sample's accounts and tables, the Job's script."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hedgerow.sandbox.accounts import SINK_USER, SOURCE_USER
from hedgerow.sandbox.cluster import Cluster
from hedgerow.sandbox.process import wait_until
from hedgerow.sandbox.servers import Server
from tests.cluster.conftest import query

COMPONENTS = Path(__file__).parents[2] / "deploy" / "kubernetes" / "components"
SAMPLE = COMPONENTS / "sample-databases"
SCRIPT = COMPONENTS / "changefeeds" / "create_missing.sh"
TRIAL = COMPONENTS.parent / "overlays" / "trial" / "shop.toml"
MOUNTED = "/run/secrets/hedgerow"


def create_missing(folder: Path, addr: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "CHANGEFEEDS": str(folder), "HEDGEROW_ADDR": addr}
    return subprocess.run(
        ["/bin/sh", str(SCRIPT)], env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def load_sample(server: Server, passwords: Path) -> None:
    """What the image's entry point does with the sample's files, in place of the accounts that the sandbox has made."""
    accounts = (SAMPLE / "accounts.sh").read_text().replace(MOUNTED, str(passwords))
    shown = subprocess.run(
        ["bash", "-euc", f"docker_process_sql() {{ cat; }}\n{accounts}"], capture_output=True, text=True, check=True
    )
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION sql_log_bin = 0")
        for user in (SOURCE_USER, SINK_USER):
            cursor.execute(f"DROP USER {user}@'127.0.0.1'")
        for script in (shown.stdout, (SAMPLE / "shop.sql").read_text()):
            for statement in filter(str.strip, script.split(";\n")):
                cursor.execute(statement)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "changefeeds"
    made.mkdir()
    return made


def test_the_trials_changefeed_is_created_once_and_replicates(folder: Path) -> None:
    with Cluster("mariadb", nodes=1) as cluster:
        passwords = cluster.directory / "passwords"
        passwords.mkdir()
        for user in ("source", "sink"):
            (passwords / user).write_text(f"trial-{user}-password")
        for server in (cluster.pair.source, cluster.pair.sink):
            load_sample(server, passwords)
        text = TRIAL.read_text().replace(MOUNTED, str(passwords))
        for role in ("source", "sink"):
            text = text.replace(f"@{role}:3306", f"@127.0.0.1:{getattr(cluster.pair, role).port}")
        (folder / "shop.toml").write_text(text)
        addr = cluster.nodes[0].address

        created = create_missing(folder, addr)
        assert (created.returncode, created.stdout) == (0, "changefeeds: created shop\n"), created.stderr
        uid = cluster.wait_for("shop", state="normal")["uid"]
        with cluster.pair.source.connect() as connection, connection.cursor() as cursor:
            cursor.execute("INSERT INTO shop.orders (customer, amount) VALUES (1, 9.99)")
        assert wait_until(lambda: query(cluster.pair.sink, "SELECT amount FROM shop.orders") != (), 20, 0.1)

        again = create_missing(folder, addr)
        assert (again.returncode, again.stdout) == (0, "changefeeds: shop is there\n"), again.stderr
        assert cluster.get("shop")["uid"] == uid

        (folder / "astray.toml").write_text(text.replace("hedgerow_source@", "nobody@").replace("shop.*", "other.*"))
        failed = create_missing(folder, addr)
        assert failed.returncode == 1
        assert "astray is not created" in failed.stderr
        assert "nobody" in failed.stderr, "and it says why"
        assert "there is no changefeed" not in failed.stderr, "which is nothing to worry about"
        assert "changefeeds: shop is there" in failed.stdout


def test_no_node_and_no_file_are_failures(folder: Path) -> None:
    empty = create_missing(folder, "127.0.0.1:1")
    assert empty.returncode == 1
    assert str(folder) in empty.stderr
    (folder / "shop.toml").write_text(TRIAL.read_text())
    unreachable = create_missing(folder, "127.0.0.1:1")
    assert unreachable.returncode == 1
    assert "127.0.0.1:1 cannot be reached" in unreachable.stderr
