#!/usr/bin/env bash
# Generates the gRPC stubs from proto/ into the tree, or into the folder given. `make check` compares.
set -eu
cd "$(dirname "$0")/.."
out=${1:-.}
python=${PYTHON:-.venv/bin/python}
find proto -name '*.proto' -print0 | sort -z |
  xargs -0 "$python" -m grpc_tools.protoc -Iproto --python_out="$out" --pyi_out="$out" --grpc_python_out="$out"
