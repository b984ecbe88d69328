"""What kustomize makes of deploy/kubernetes: the real one, or kubectl's.

Without either, or without the schemas, the tests are skipped and say so.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip(
    "yaml", reason="NOT TESTED: manifests need PyYAML and kubernetes-validate: make deploy-tools"
)
kubernetes_validate = pytest.importorskip(
    "kubernetes_validate", reason="NOT TESTED: manifests need kubernetes-validate: make deploy-tools"
)

DEPLOY = Path(__file__).parents[2] / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
OVERLAYS = tuple(sorted(path.name for path in (KUBERNETES / "overlays").iterdir()))
COMPONENTS = tuple(sorted(path.name for path in (KUBERNETES / "components").iterdir()))

Manifest = Mapping[str, Any]


def _kustomize() -> list[str]:
    if shutil.which("kustomize"):
        return ["kustomize", "build"]
    if shutil.which("kubectl"):
        return ["kubectl", "kustomize"]
    pytest.skip("NOT TESTED: manifests need kustomize or kubectl")


@functools.cache
def _build(folder: Path) -> tuple[Manifest, ...]:
    ended = subprocess.run([*_kustomize(), str(folder)], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert not ended.stderr, ended.stderr  # what is deprecated is said there
    return tuple(yaml.safe_load_all(ended.stdout))


def overlay(name: str) -> tuple[Manifest, ...]:
    return _build(KUBERNETES / "overlays" / name)


def base_with(folder: Path, *components: str) -> tuple[Manifest, ...]:
    """The base with some components, as an overlay of somebody else would have it; `folder` is an empty one."""
    here = os.path.relpath(KUBERNETES.resolve(), folder.resolve())
    lines = ["resources:", f"  - {here}/base", "components:", *(f"  - {here}/components/{name}" for name in components)]
    (folder / "kustomization.yaml").write_text("\n".join(lines if components else lines[:2]) + "\n")
    return _build(folder)


def of_kind(manifests: tuple[Manifest, ...], kind: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def named(manifests: tuple[Manifest, ...], kind: str, name: str) -> Manifest:
    (found,) = [manifest for manifest in of_kind(manifests, kind) if manifest["metadata"]["name"] == name]
    return found


def pod_templates(manifests: tuple[Manifest, ...]) -> Iterator[tuple[str, Manifest]]:
    """Every template of pods, with the name of what makes them."""
    for manifest in manifests:
        template = manifest.get("spec", {}).get("template")
        if template is not None:
            yield f"{manifest['kind']}/{manifest['metadata']['name']}", template


def environment(manifests: tuple[Manifest, ...], template: Manifest) -> dict[str, str]:
    """Of the first container, as the kubelet makes it for a pod hedgerow-0 of the namespace hedgerow."""
    container = template["spec"]["containers"][0]
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        found.update(named(manifests, "ConfigMap", source["configMapRef"]["name"])["data"])
    fields = {"metadata.name": "hedgerow-0", "metadata.namespace": "hedgerow"}
    for variable in container.get("env", []):
        value = variable.get("value") or fields[variable["valueFrom"]["fieldRef"]["fieldPath"]]
        for name, known in found.items():
            value = value.replace(f"$({name})", known)
        found[variable["name"]] = value
    return found


def selects(selector: Mapping[str, str], template: Manifest) -> bool:
    assert selector, "an empty selector selects every pod"
    labels = template["metadata"]["labels"]
    return all(labels.get(key) == value for key, value in selector.items())
