#!/usr/bin/env bash
# Makes .venv, and installs the server packages that are missing: as root by apt, otherwise it says what to install and
# fails. Does nothing, quickly, when everything is there. Starts no service.
set -eu
cd "$(dirname "$0")/.."
path_with_sbin="$PATH:/usr/sbin:/usr/local/sbin"

has() {
  PATH="$path_with_sbin" command -v "$1" >/dev/null
}

as_root() {
  [ "$(id -u)" -eq 0 ] && has apt-get
}

missing_packages() {
  if ! { has mariadbd && has mariadb-install-db; }; then echo mariadb-server-core; fi
  if ! has my_print_defaults; then echo mariadb-client-core; fi  # mariadb-install-db calls it
  if ! has etcd; then echo etcd-server; fi
}

# With a policy-rc.d that refuses, no package starts its service while it is installed (Debian: invoke-rc.d).
apt_install() {
  local policy=/usr/sbin/policy-rc.d ours=
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    ours=yes
  fi
  local failed=
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >&2 </dev/null || failed=yes
  if [ -n "$ours" ]; then rm -f "$policy"; fi
  [ -z "$failed" ]
}

install_packages() {
  echo "setup: installing $*" >&2
  apt-get update -q >&2
  local packages=() package
  for package in "$@"; do
    # Before Debian 12 and on Ubuntu 22.04 the server is in the package etcd.
    if [ "$package" = etcd-server ] && ! apt-cache show etcd-server >/dev/null 2>&1; then package=etcd; fi
    packages+=("$package")
  done
  apt_install "${packages[@]}"
}

find_python() {
  local candidate
  for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
    if has "$candidate" && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
      echo "$candidate"
      return
    fi
  done
  echo "setup: no Python 3.11 or newer on PATH; install one (Debian 12 and later: apt-get install python3)" >&2
  exit 1
}

make_venv() {
  local python
  python=$(find_python)
  echo "setup: making .venv with $("$python" --version)" >&2
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    if ! as_root; then
      echo "setup: $python cannot make a venv; as root: apt-get install python3-venv" >&2
      exit 1
    fi
    install_packages python3-venv
  fi
  rm -rf .venv
  "$python" -m venv .venv
}

packages=$(missing_packages)
if [ -n "$packages" ]; then
  # shellcheck disable=SC2086 # one word for each package
  if as_root; then
    install_packages $packages
  else
    echo "setup: missing server packages; as root: apt-get install --no-install-recommends" $packages >&2
    exit 1
  fi
fi
packages=$(missing_packages)
if [ -n "$packages" ]; then
  echo "setup: still missing after the installation:" $packages >&2
  exit 1
fi

[ -x .venv/bin/python ] || make_venv
installed=.venv/installed-from
wanted=$(sha256sum pyproject.toml)
if [ "$(cat "$installed" 2>/dev/null)" != "$wanted" ]; then
  echo "setup: installing the Python packages" >&2
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]' >&2
  echo "$wanted" >"$installed"
fi
