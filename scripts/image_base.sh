#!/usr/bin/env bash
# Makes a base image out of Debian's packages, for where no registry of images can be reached: `image_base.sh NAME`. A
# minimal Debian with python3, from the mirror that this machine's own apt sources name. Needs root and debootstrap.
set -eu
cd "$(dirname "$0")/.."
name=$1
suite=trixie

fail() {
  echo "image: $*" >&2
  exit 1
}

if buildah inspect --type image "$name" >/dev/null 2>&1; then exit 0; fi
[ "$(id -u)" -eq 0 ] || fail "making a base image needs root: debootstrap uses chroot"
command -v debootstrap >/dev/null || fail "no debootstrap (Debian: apt-get install debootstrap)"
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
mirror=$(python3 scripts/apt_mirror.py "$codename") || exit 1
proxy=
eval "$(apt-config shell proxy Acquire::http::Proxy)"
if [ -n "$proxy" ] && [ "$proxy" != DIRECT ]; then export http_proxy="$proxy"; fi

mkdir -p build
work=$(mktemp -d "$PWD/build/base.XXXXXX")
remove_work() {
  umount "$work/root/proc" "$work/root/sys" 2>/dev/null || true
  rm -rf --one-file-system "$work"
}
trap remove_work EXIT
echo "image: debootstrap of $suite with python3"
debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates "$suite" "$work/root" "$mirror" >"$work/log" 2>&1 ||
  fail "debootstrap failed: $(tail -n 5 "$work/log")"
umount "$work/root/proc" "$work/root/sys" 2>/dev/null || true
rm -rf "$work/root"/var/cache/apt/archives/*.deb "$work/root"/var/lib/apt/lists/* "$work/root"/var/log/*.log \
  "$work/root/etc/apt/sources.list" "$work/root"/etc/resolv.conf
container=$(buildah from scratch)
buildah add --quiet "$container" "$work/root" / >/dev/null
buildah commit --quiet --rm "$container" "$name" >/dev/null
