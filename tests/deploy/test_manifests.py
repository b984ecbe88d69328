"""Every overlay and component as kustomize builds it, against Kubernetes' schemas and against what Hedgerow needs."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from hedgerow import node, probes
from hedgerow.cli.changefeed import _read_file
from hedgerow.common.config import ClientConfig, NodeConfig, split_address
from tests.deploy.manifests import (
    COMPONENTS,
    OVERLAYS,
    Manifest,
    base_with,
    environment,
    kubernetes_validate,
    named,
    of_kind,
    overlay,
    pod_templates,
    selects,
)

OLDEST = "1.27"  # gRPC probes, and what else the base uses, are on by default from there on
VERSIONS = (OLDEST, kubernetes_validate.latest_version())
# Their schemas are not at hand.
FOREIGN = {"monitoring.coreos.com/v1/PodMonitor", "cert-manager.io/v1/Certificate", "cert-manager.io/v1/Issuer"}
# Each alone, with what it belongs to; and everything, which cannot be both secure and not.
NEEDS = {"etcd-tls-cert-manager": ("etcd-tls",), "tls-cert-manager": ("tls",)}
SETS: dict[str, tuple[str, ...]] = {name: (*NEEDS.get(name, ()), name) for name in COMPONENTS} | {
    "all": tuple(name for name in COMPONENTS if name != "insecure"),
}
# With neither of these no node starts.
SETS = {name: each if {"tls", "insecure"} & set(each) else ("insecure", *each) for name, each in SETS.items()}


@pytest.fixture(params=[*(f"overlay {name}" for name in OVERLAYS), *(f"base with {name}" for name in sorted(SETS))])
def built(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Manifest, ...]:
    kind, _, name = request.param.rpartition(" ")
    return overlay(name) if kind == "overlay" else base_with(tmp_path, *SETS[name])


def hedgerow_pods(built: tuple[Manifest, ...]) -> Manifest:
    template: Manifest = named(built, "StatefulSet", "hedgerow")["spec"]["template"]
    return template


def test_there_are_overlays_and_components() -> None:
    assert set(OVERLAYS) == {"trial", "production"}
    assert {"etcd-trial", "etcd-tls", "etcd-tls-cert-manager", "tls", "tls-cert-manager", "network-policy"} <= set(
        COMPONENTS
    )


@pytest.mark.parametrize("kubernetes", VERSIONS)
def test_the_schemas_of_kubernetes_are_met(built: tuple[Manifest, ...], kubernetes: str) -> None:
    unknown = set()
    for manifest in built:
        try:
            kubernetes_validate.validate(manifest, kubernetes, strict=True)
        except kubernetes_validate.SchemaNotFoundError:
            unknown.add(f"{manifest['apiVersion']}/{manifest['kind']}")
    assert unknown <= FOREIGN


def test_a_misspelt_key_would_be_found() -> None:
    broken = {**named(overlay("production"), "Service", "hedgerow")}
    broken["spec"] = {**broken["spec"], "publishNotReadyAdresses": True}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, OLDEST, strict=True)


def test_pods_are_restricted(built: tuple[Manifest, ...]) -> None:
    """The rules of the restricted pod security standard about what these pods have, and a read-only file system."""
    for name, template in pod_templates(built):
        spec = template["spec"]
        assert not {"hostNetwork", "hostPID", "hostIPC", "ephemeralContainers"} & spec.keys(), name
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["enableServiceLinks"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["runAsUser"] > 0, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        volumes = {next(iter(volume.keys() - {"name"})) for volume in spec.get("volumes", [])}
        assert volumes <= {"configMap", "emptyDir", "projected", "secret"}, name
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert context["readOnlyRootFilesystem"] is True, name
            assert "privileged" not in context, name
            assert all("hostPort" not in port for port in container.get("ports", [])), name


def test_images_have_a_version_and_containers_their_size(built: tuple[Manifest, ...]) -> None:
    for name, template in pod_templates(built):
        for container in template["spec"]["containers"]:
            image, _, tag = container["image"].rpartition(":")
            assert image, f"{name}: {container['image']} has no tag"
            assert re.fullmatch(r"v?\d+(\.\d+)+", tag), f"{name}: {container['image']}"
            assert image != "hedgerow" or tag == version("hedgerow"), name
            resources = container["resources"]
            assert {"cpu", "memory"} <= resources["requests"].keys(), name
            assert "memory" in resources["limits"], name


def test_no_secret_is_written_down_and_what_is_referred_to_is_there(built: tuple[Manifest, ...]) -> None:
    assert not of_kind(built, "Secret")
    there = {manifest["metadata"]["name"] for manifest in of_kind(built, "ConfigMap")}
    for name, template in pod_templates(built):
        spec = template["spec"]
        wanted = {volume["configMap"]["name"] for volume in spec.get("volumes", []) if "configMap" in volume}
        for container in spec["containers"]:
            wanted |= {source["configMapRef"]["name"] for source in container.get("envFrom", [])}
            mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
            claims = {"data"} if name.startswith("StatefulSet") else set()
            assert mounted <= {volume["name"] for volume in spec.get("volumes", [])} | claims, name
        assert wanted - {"hedgerow-changefeeds"} <= there, name  # that one is the overlay's


def test_the_settings_are_the_nodes_own(built: tuple[Manifest, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Read by the code that the node reads them with: a misspelt variable would change nothing, in silence."""
    variables = environment(built, hedgerow_pods(built))
    for name, value in variables.items():
        if name.startswith("HEDGEROW_"):
            assert name.removeprefix("HEDGEROW_").lower() in NodeConfig.model_fields, name
            monkeypatch.setenv(name, value)
    config = NodeConfig.load(None, {})
    assert config.name == "hedgerow-0"
    assert config.advertise == "hedgerow-0.hedgerow-peers.hedgerow.svc:7300"
    assert config.insecure != bool(config.tls_ca)
    container = hedgerow_pods(built)["spec"]["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert config.probes is not None
    assert config.metrics is not None
    served = {"grpc": config.listen, "probes": config.probes, "metrics": config.metrics}
    assert ports == {name: split_address(address)[1] for name, address in served.items()}
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts["databases"] in config.secrets_dirs
    for file in (config.etcd_ca, config.etcd_cert, config.etcd_key, *config.own_files, config.tls_ca, config.tls_cert):
        assert file is None or str(file.parent) in mounts.values()
    grace = hedgerow_pods(built)["spec"]["terminationGracePeriodSeconds"]
    assert grace > config.drain_deadline + node._HARD_STOP_SECONDS


def test_the_job_can_call_a_node(built: tuple[Manifest, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    secure = "HEDGEROW_TLS_CA" in environment(built, hedgerow_pods(built))
    for job in of_kind(built, "Job"):
        template = job["spec"]["template"]
        for name, value in environment(built, template).items():
            assert name.removeprefix("HEDGEROW_").lower() in ClientConfig.model_fields, name
            monkeypatch.setenv(name, value)
        config = ClientConfig.load(None, {})
        assert split_address(config.addr)[0] == named(built, "Service", "hedgerow")["metadata"]["name"]
        mounts = {mount["mountPath"] for mount in template["spec"]["containers"][0]["volumeMounts"]}
        wanted = (config.tls_ca, config.tls_cert, config.tls_key)
        assert all(file is not None and str(file.parent) in mounts for file in wanted) if secure else not any(wanted)


def test_certificates_are_for_the_names_that_are_called_and_for_the_roles() -> None:
    built = overlay("production")
    variables = environment(built, hedgerow_pods(built))
    node_certificate = named(built, "Certificate", "hedgerow-node")["spec"]
    advertised = split_address(variables["HEDGEROW_ADVERTISE"])[0]
    wildcard = f"*.{advertised.partition('.')[2]}"
    assert {wildcard, "hedgerow"} <= set(node_certificate["dnsNames"])
    assert {"server auth", "client auth"} <= set(node_certificate["usages"])
    assert variables["HEDGEROW_ROLE_NODE"] == f"DNS:{wildcard}"
    admin = named(built, "Certificate", "hedgerow-admin")["spec"]
    assert variables["HEDGEROW_ROLE_ADMIN"] == f"CN:{admin['commonName']}"
    tls = base_secrets(hedgerow_pods(built))
    assert node_certificate["secretName"] in tls
    assert "hedgerow-etcd-tls" in tls


def base_secrets(template: Manifest) -> set[str]:
    return {volume["secret"]["secretName"] for volume in template["spec"]["volumes"] if "secret" in volume}


def test_probes_ask_what_the_node_answers(built: tuple[Manifest, ...]) -> None:
    container = hedgerow_pods(built)["spec"]["containers"][0]
    (port,) = [port["containerPort"] for port in container["ports"] if port["name"] == "probes"]
    assert container["startupProbe"]["grpc"] == {"port": port, "service": probes.LIVENESS}
    assert container["livenessProbe"]["grpc"] == {"port": port, "service": probes.LIVENESS}
    assert container["readinessProbe"]["grpc"] == {"port": port, "service": probes.READINESS}


def test_selectors_select_the_nodes_and_nothing_else(built: tuple[Manifest, ...]) -> None:
    templates = dict(pod_templates(built))
    selectors: dict[str, Any] = {
        f"Service/{name}": named(built, "Service", name)["spec"]["selector"] for name in ("hedgerow", "hedgerow-peers")
    }
    for kind in ("PodDisruptionBudget", "StatefulSet"):
        selectors[kind] = named(built, kind, "hedgerow")["spec"]["selector"]["matchLabels"]
    for policy in of_kind(built, "NetworkPolicy"):
        selectors["NetworkPolicy"] = policy["spec"]["podSelector"]["matchLabels"]
    for monitor in of_kind(built, "PodMonitor"):
        selectors["PodMonitor"] = monitor["spec"]["selector"]["matchLabels"]
    for constraint in hedgerow_pods(built)["spec"]["topologySpreadConstraints"]:
        selectors[constraint["topologyKey"]] = constraint["labelSelector"]["matchLabels"]
    for what, selector in selectors.items():
        assert [name for name, template in templates.items() if selects(selector, template)] == [
            "StatefulSet/hedgerow"
        ], what


def test_peers_reach_a_node_that_is_not_ready_and_users_do_not(built: tuple[Manifest, ...]) -> None:
    peers, users = (named(built, "Service", name)["spec"] for name in ("hedgerow-peers", "hedgerow"))
    assert peers["clusterIP"] == "None"
    assert peers["publishNotReadyAddresses"] is True
    assert "publishNotReadyAddresses" not in users
    assert named(built, "StatefulSet", "hedgerow")["spec"]["serviceName"] == "hedgerow-peers"


def test_clients_pass_the_network_policy() -> None:
    built = overlay("production")
    policy = named(built, "NetworkPolicy", "hedgerow")["spec"]
    (labels,) = [
        peer["podSelector"]["matchLabels"]
        for rule in policy["ingress"]
        for peer in rule["from"]
        if "hedgerow/client" in peer.get("podSelector", {}).get("matchLabels", {})
    ]
    job = named(overlay("trial"), "Job", "hedgerow-changefeeds")["spec"]["template"]
    assert selects(labels, job)


def test_the_trials_changefeed_can_be_read(tmp_path: Path) -> None:
    built = overlay("trial")
    files = named(built, "ConfigMap", "hedgerow-changefeeds")["data"]
    assert set(files) == {"shop.toml"}
    file = tmp_path / "shop.toml"
    file.write_text(files["shop.toml"])
    settings = _read_file(file)
    services = {service["metadata"]["name"] for service in of_kind(built, "Service")}
    for end in ("source", "sink"):
        assert settings[end].partition("@")[2].partition(":")[0] in services
