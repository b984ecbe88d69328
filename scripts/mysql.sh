#!/usr/bin/env bash
# Makes a MySQL server in .mysql/root (or in the directory given): a minimal Debian sid with mysql-server-core, from the
# mirror that this machine's own apt sources name. Debian's stable releases carry MariaDB only. Needs root; using the
# server afterwards does not. Does nothing when it is there.
set -eu
cd "$(dirname "$0")/.."
target=${1:-.mysql/root}

fail() {
  echo "mysql: $*" >&2
  exit 1
}

# Through the tree's own loader and libraries, as hedgerow/sandbox/mysql.py starts it.
version() {
  local loader
  loader=$(find "$1/usr/lib" -maxdepth 2 -path '*-linux-gnu*/ld-linux*.so.*' 2>/dev/null | sort | head -n 1)
  [ -n "$loader" ] && [ -x "$1/usr/sbin/mysqld" ] || return 1
  "$loader" --library-path "$(dirname "$loader"):$1/usr/lib/mysql/private" "$1/usr/sbin/mysqld" --no-defaults --version
}

if version "$target" >/dev/null 2>&1; then
  echo "mysql: $target is there: $(version "$target")"
  exit 0
fi

[ "$(id -u)" -eq 0 ] || fail "making $target needs root: debootstrap uses chroot. Run: sudo make mysql"
[ -r /etc/os-release ] || fail "no /etc/os-release: this is not Debian; put MySQL's own mysqld on PATH instead"
# shellcheck source=/dev/null
. /etc/os-release
[ "${ID:-}" = debian ] || fail "this is ${ID:-unknown}, not Debian: put MySQL's own mysqld on PATH instead"
mirror=$(python3 scripts/apt_mirror.py "${VERSION_CODENAME:?}") || exit 1

if ! command -v debootstrap >/dev/null; then
  echo "mysql: installing debootstrap"
  apt-get update -q
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends debootstrap </dev/null
fi
# debootstrap downloads on its own, so it must be told of apt's proxy.
proxy=
eval "$(apt-config shell proxy Acquire::http::Proxy)"
if [ -n "$proxy" ] && [ "$proxy" != DIRECT ]; then export http_proxy="$proxy"; fi

remove_work() {
  # debootstrap mounts these; what is left mounted must not be emptied.
  umount "$work/proc" "$work/sys" 2>/dev/null || true
  rm -rf --one-file-system "$work"
}
mkdir -p "$(dirname "$target")"
work=$(mktemp -d "$(dirname "$(realpath -m "$target")")/new.XXXXXX")
trap remove_work EXIT
chmod 755 "$work"
echo "mysql: debootstrap of sid with mysql-server-core from $mirror into $target"
debootstrap --variant=minbase --include=mysql-server-core sid "$work" "$mirror" >"$work.log" 2>&1 ||
  fail "debootstrap failed; $work.log ends with: $(tail -n 5 "$work.log")"
umount "$work/proc" "$work/sys" 2>/dev/null || true
rm -rf "$work"/var/cache/apt/archives/*.deb "$work"/var/lib/apt/lists/*
version "$work" >/dev/null || fail "the mysqld in $work does not run"
rm -rf --one-file-system "$target"
mv "$work" "$target"
rm -f "$work.log"
echo "mysql: made $target: $(version "$target")"
