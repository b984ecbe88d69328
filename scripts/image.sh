#!/usr/bin/env bash
# Builds the image and starts it: read-only, as a uid that the image does not know, without any capability. BASE names the
# base image; where it cannot be pulled and this is Debian, one is made of Debian's packages. IMAGE names the result.
# Where there is no builder, says so and ends with 1.
set -eu
cd "$(dirname "$0")/.."
version=$(.venv/bin/python -c 'import tomllib; print(tomllib.load(open("pyproject.toml", "rb"))["project"]["version"])')
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
image=${IMAGE:-localhost/hedgerow:$version}
base=${BASE:-$(sed -n 's/^ARG BASE=//p' deploy/Containerfile)}
made_here=localhost/hedgerow-base:trixie

fail() {
  echo "image: NOT BUILT: $*" >&2
  exit 1
}

command -v buildah >/dev/null || fail "no builder here: install buildah, podman and runc (Debian's packages), or build
  deploy/Containerfile with another over the context that this script makes"
command -v podman >/dev/null || fail "no podman here, which starts what was built"
runtime=$(command -v runc || command -v crun) || fail "neither runc nor crun here"

if ! buildah inspect --type image "$base" >/dev/null 2>&1 && ! buildah pull --quiet "$base" >/dev/null 2>&1; then
  echo "image: the base image $base cannot be pulled here; NOT TRIED. Instead: $made_here, of Debian's packages" >&2
  scripts/image_base.sh "$made_here" || fail "there is no base image"
  base=$made_here
fi
isolation=(--isolation oci --runtime "$runtime" --network none)
container=$(buildah from --pull=never "$base")
python=$(buildah run "${isolation[@]}" "$container" -- python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
buildah rm "$container" >/dev/null
echo "image: base $base, Python $python"

scripts/dist.sh >/dev/null
context=build/image
rm -rf "$context"
mkdir -p "$context/wheels"
cp dist/hedgerow-*.whl deploy/requirements.txt "$context"
cp dist/hedgerow-*.cdx.json "$context/sbom.cdx.json" 2>/dev/null || fail "no SBOM: run make deploy-tools"
platforms=()
for tag in manylinux_2_34 manylinux_2_28 manylinux_2_17 manylinux2014; do platforms+=(--platform "${tag}_$(uname -m)"); done
abi=cp${python/./}
.venv/bin/python -m pip --disable-pip-version-check download --quiet --dest "$context/wheels" --only-binary :all: \
  --python-version "$python" --implementation cp --abi "$abi" --abi abi3 --abi none "${platforms[@]}" \
  --require-hashes --requirement deploy/requirements.txt

buildah build --quiet "${isolation[@]}" --pull=never --format oci --timestamp "$(git log -1 --format=%ct 2>/dev/null || echo 0)" \
  --build-arg BASE="$base" --build-arg VERSION="$version" --build-arg REVISION="$revision" \
  --file deploy/Containerfile --tag "$image" "$context" >/dev/null
echo "image: built $image, $(buildah inspect --type image --format '{{.FromImageDigest}}' "$image"), $(
  podman image inspect --format '{{.Size}}' "$image") bytes"

HEDGEROW_IMAGE=$image HEDGEROW_RUNTIME=$runtime .venv/bin/pytest -q tests/packaging/test_image.py
