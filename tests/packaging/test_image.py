"""The image, started as a cluster would start it. `make image` builds it and runs this; without an image it is skipped.

The root file system is read-only, the uid is one that the image does not know, and there is no capability. The network
is the host's, because what is tried is the image and not the network of containers.
"""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Iterator

import pytest

from hedgerow.probes import LIVENESS, READINESS
from hedgerow.sandbox.etcd import EtcdCluster
from hedgerow.sandbox.ports import free_port
from hedgerow.sandbox.probe import ask
from hedgerow.sandbox.process import remove_directory, temporary_directory, wait_until

IMAGE = os.environ.get("HEDGEROW_IMAGE", "")
pytestmark = pytest.mark.skipif(not IMAGE, reason="HEDGEROW_IMAGE names no image: make image builds it and runs this")

RUN = ["podman", "--runtime", os.environ.get("HEDGEROW_RUNTIME", "runc"), "run", "--pull=never", "--network=host"]
# Not more than the process that starts it has, which need not be root of the machine.
LOCKED = [
    "--read-only",
    "--read-only-tmpfs=false",
    "--user=4711:0",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--ulimit=nofile=4096:4096",
    "--ulimit=nproc=4096:4096",
]
WALK = """
import os, json
def may(path):
    try:
        with open(os.path.join(path, "written"), "w"): return True
    except OSError: return False
tools = [name for name in ("gcc", "cc", "g++", "clang", "make", "ld", "as") for folder in os.environ["PATH"].split(":")
         if os.path.exists(os.path.join(folder, name))]
writable = [path for path in ("/", "/tmp", "/var/tmp", "/opt/hedgerow", "/run", "/etc") if may(path)]
print(json.dumps({"uid": os.getuid(), "tools": tools, "writable": writable}))
"""


def podman(*arguments: str) -> str:
    ended = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


@pytest.fixture
def etcd() -> Iterator[EtcdCluster]:
    directory = temporary_directory("image")
    cluster = EtcdCluster(directory, members=1)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        remove_directory(directory)


def test_it_tells_its_version() -> None:
    assert podman(*RUN, "--rm", *LOCKED, IMAGE, "version").startswith("hedgerow ")


def test_nothing_can_be_written_and_nothing_compiles() -> None:
    found = json.loads(podman(*RUN, "--rm", *LOCKED, "--entrypoint=python3", IMAGE, "-c", WALK))
    assert found == {"uid": 4711, "tools": [], "writable": []}


def test_what_it_says_of_itself() -> None:
    (about,) = json.loads(podman("podman", "image", "inspect", IMAGE))
    labels, config = about["Labels"], about["Config"]
    for key in ("title", "description", "version", "revision"):
        assert labels[f"org.opencontainers.image.{key}"] not in ("", "unknown")
    assert config["User"] == "65532:65532"
    assert config["StopSignal"] in ("SIGTERM", "15")
    assert not about.get("HealthCheck")
    assert not config.get("Healthcheck")
    bill = json.loads(podman(*RUN, "--rm", *LOCKED, "--entrypoint=cat", IMAGE, "/opt/hedgerow/sbom.cdx.json"))
    assert {"grpcio", "protobuf", "pymysql"} <= {part["name"].lower() for part in bill["components"]}


def test_a_node_joins_answers_probes_and_leaves_on_sigterm(etcd: EtcdCluster) -> None:
    name, port, probes = f"hedgerow-test-{uuid.uuid4().hex[:8]}", free_port(), f"127.0.0.1:{free_port()}"
    settings = {
        "ETCD": ",".join(etcd.endpoints),
        "LISTEN": f"127.0.0.1:{port}",
        "PROBES": probes,
        "METRICS": f"127.0.0.1:{free_port()}",
    }
    environment = [f"--env=HEDGEROW_{key}={value}" for key, value in settings.items()]
    podman(*RUN, "--detach", f"--name={name}", *LOCKED, *environment, IMAGE)
    try:
        assert wait_until(lambda: ask(probes, READINESS) == "SERVING", 60, 0.2), podman("podman", "logs", name)
        assert ask(probes, LIVENESS) == "SERVING"
        listed = json.loads(
            podman(*RUN, "--rm", *LOCKED, IMAGE, "node", "list", "--output=json", f"--addr=127.0.0.1:{port}")
        )
        assert len(listed) == 1
        podman("podman", "stop", "--time=30", name)
        assert podman("podman", "inspect", "--format={{.State.ExitCode}}", name) == "0"
    finally:
        subprocess.run(["podman", "rm", "--force", name], capture_output=True, check=False)
