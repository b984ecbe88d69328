#!/usr/bin/env bash
# The committed stubs must be what proto/ generates.
set -eu
cd "$(dirname "$0")/.."
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
scripts/generate_stubs.sh "$fresh"
if ! diff -r --exclude=__pycache__ --exclude=__init__.py hedgerow/common/pb/ "$fresh/hedgerow/common/pb/"; then
  echo "hedgerow/common/pb is not what proto/ generates: run 'make stubs' and commit the result" >&2
  exit 1
fi
