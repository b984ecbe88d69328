#!/usr/bin/env bash
# Builds wheel and sdist into dist/, and the SBOM (CycloneDX) of an environment with the wheel and the packages that
# deploy/requirements.txt pins, installed by hash: so what the SBOM lists has been installed.
set -eu
cd "$(dirname "$0")/.."
rm -rf dist
mkdir dist
.venv/bin/python -m hatchling build -d dist
wheel=$(echo dist/hedgerow-*.whl)
if [ ! -x .venv/bin/cyclonedx-py ]; then
  echo "dist: NO SBOM: no cyclonedx-py: run make deploy-tools" >&2
  exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
.venv/bin/python -m venv --without-pip "$work/environment"
pip() {
  .venv/bin/python -m pip --python "$work/environment/bin/python" --disable-pip-version-check "$@"
}
pip install --quiet --only-binary :all: --require-hashes --requirement deploy/requirements.txt
pip install --quiet --no-deps "$wheel"
pip check
.venv/bin/cyclonedx-py environment --output-reproducible --pyproject pyproject.toml \
  --output-file "${wheel%-py3-none-any.whl}.cdx.json" "$work/environment/bin/python"
ls -l dist
