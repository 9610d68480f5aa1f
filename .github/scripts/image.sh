#!/usr/bin/env bash
# image.sh TAG FOLDER: the images of a release, from its static programs for Linux, pushed to Docker Hub.
set -euo pipefail
tag=$1 folder=$2
version=${tag#v}
if [[ -z "${DOCKERHUB_USERNAME:-}" || -z "${DOCKERHUB_TOKEN:-}" ]]; then
    echo "error: DOCKERHUB_USERNAME or DOCKERHUB_TOKEN is not set" >&2
    echo "hint: give the environment release the variable and the secret" >&2
    exit 1
fi
context=$(mktemp -d)
for arch in amd64=x86_64 arm64=aarch64; do
    bin=$context/${arch%=*}/usr/local/bin
    mkdir -p "$bin"
    install -m 755 "$folder/cml-linux-${arch#*=}" "$bin/cml"
    for name in send-comment send-github-check publish tensorboard-dev runner pr; do
        ln -s cml "$bin/cml-$name"
    done
done
docker login --username "$DOCKERHUB_USERNAME" --password-stdin <<<"$DOCKERHUB_TOKEN"
docker buildx create --use
labels=(
    --label "org.opencontainers.image.version=$version"
    --label "org.opencontainers.image.revision=$(git rev-parse HEAD)"
)
# Of the pipe, the base image runs a program while it is built: only for the architecture of this machine.
docker buildx build --push --file Dockerfile --target cml --platform linux/amd64,linux/arm64 "${labels[@]}" \
    --tag "org/cml:$version" "$context"
docker buildx build --push --file Dockerfile --target pipe --platform linux/amd64 "${labels[@]}" \
    --tag "org/cml-pipe:$version" "$context"
