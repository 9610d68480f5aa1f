#!/usr/bin/env bash
# image.sh TAG PROGRAMS ARCH: the images of a release for an architecture, amd64 or arm64, from its static program. On a machine of
# that architecture, as two of the images run programs while they are built. image-tags.sh makes one image of both.
set -euo pipefail
tag=$1 programs=$2 arch=$3
version=${tag#v}
scripts=$(dirname "${BASH_SOURCE[0]}")
"$scripts/login.sh"
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
context=$(mktemp -d)
"$scripts/context.sh" "$programs" "$context"
docker buildx create --use
# build TARGET IMAGE OPTION…
build() {
    docker buildx build --push --provenance=mode=max --platform "linux/$arch" --target "$1" --tag "$2-$arch" \
        --label "org.opencontainers.image.version=$version" \
        --label "org.opencontainers.image.revision=$(git rev-parse HEAD)" "${@:3}" "$context"
}
build cml "org/cml:$version"
build train "org/cml:$version-dvc3"
build train "org/cml:$version-dvc3-gpu" --build-arg "BASE=nvidia/cuda:12.8.1-cudnn-runtime-ubuntu24.04"
build pipe "org/cml-pipe:$version"
