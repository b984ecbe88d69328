#!/usr/bin/env bash
# Checks what is in deploy/ with whatever tools are here, and says at the end which of them were not.
set -u
cd "$(dirname "$0")/.."
report=
failed=

check() {
  local what=$1
  shift
  if "$@"; then report="$report\n  passed      $what"; else report="$report\n  FAILED      $what" failed=yes; fi
}
skip() {
  report="$report\n  NOT CHECKED $1"
}
has() {
  command -v "$1" >/dev/null
}

check "manifests, units and compose file (tests/deploy)" .venv/bin/pytest -q tests/deploy
check "Containerfile (hadolint)" .venv/bin/hadolint deploy/Containerfile
if has kustomize; then :; elif has kubectl; then :; else skip "manifests: neither kustomize nor kubectl is here"; fi
has systemd-analyze || skip "the systemd unit: no systemd-analyze is here"
if has docker && docker compose version >/dev/null 2>&1; then
  check "compose file (docker compose config)" docker compose --file deploy/compose/compose.yaml config --quiet
else
  skip "compose file by docker compose: not here"
fi
skip "PodMonitor, Certificate and Issuer: the schemas of foreign kinds are not at hand"
echo -e "deploy-check:$report"
[ -z "$failed" ]
