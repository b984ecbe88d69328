#!/usr/bin/env bash
# Runs what depends on a server's version on every version in .servers, and then the upgrades from one to another; or on
# some (`test_versions.sh NAME ...`; the upgrades are among the ordinary tests). Says at the end what was run and what
# is not here.
set -u
cd "$(dirname "$0")/.."
into=${HEDGEROW_SERVERS:-.servers}
dispatcher=tests/integration/dispatcher
tests="tests/fidelity $dispatcher/ddl $dispatcher/source $dispatcher/sink tests/integration/coordinator/admin"
known="mariadb-10.5 mariadb-11.4 mariadb-11.8 mysql-8.0"
report=
failed=

run() {
  local what=$1
  shift
  if "$@"; then report="$report\n  passed    $what"; else report="$report\n  FAILED    $what" failed=yes; fi
}

for name in ${*:-$known}; do
  if [ ! -d "$into/$name" ]; then
    report="$report\n  NOT HERE  $name (make servers NAMES=$name)"
  elif [ "$name" = mariadb-10.5 ]; then
    run "$name is refused in words" env HEDGEROW_MARIADB_ROOT="$into/$name" \
      .venv/bin/pytest -q tests/integration/coordinator/preflight/test_versions.py
  else
    flavour=${name%%-*}
    # shellcheck disable=SC2086 # one word for each path
    run "$name" env "HEDGEROW_$(echo "$flavour" | tr '[:lower:]' '[:upper:]')_ROOT=$into/$name" \
      .venv/bin/pytest -q $tests -k "$flavour"
  fi
done
if [ $# -eq 0 ]; then run "upgrades" .venv/bin/pytest -q tests/integration/versions; fi
echo -e "versions:$report"
[ -z "$failed" ]
