#!/usr/bin/env bash
# Installs the tools that package and check deploy/ (the extra `deploy`) into .venv. Does nothing when they are there.
set -eu
cd "$(dirname "$0")/.."
installed=.venv/deploy-tools-from
wanted=$(sha256sum pyproject.toml)
if [ "$(cat "$installed" 2>/dev/null)" != "$wanted" ]; then
  echo "deploy-tools: installing the tools for deploy/" >&2
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,deploy]' >&2
  echo "$wanted" >"$installed"
fi
