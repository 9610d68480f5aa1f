#!/usr/bin/env bash
# login.sh: to Docker Hub, where the images go.
set -euo pipefail
if [[ -z "${DOCKERHUB_USERNAME:-}" || -z "${DOCKERHUB_TOKEN:-}" ]]; then
    echo "error: DOCKERHUB_USERNAME or DOCKERHUB_TOKEN is not set" >&2
    echo "hint: give the environment images the variable and the secret" >&2
    exit 1
fi
docker login --username "$DOCKERHUB_USERNAME" --password-stdin <<<"$DOCKERHUB_TOKEN"
