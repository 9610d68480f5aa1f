#!/usr/bin/env bash
# image-tags.sh TAG: the images that image.sh has pushed for each architecture become one, under the names that users write.
set -euo pipefail
version=${1#v}
minor=${version%.*} major=${version%%.*}
"$(dirname "${BASH_SOURCE[0]}")/login.sh"
# join REPOSITORY:VERSION TAG…
join() {
    local image=$1 tags=()
    shift
    for tag in "$@"; do tags+=(--tag "${image%:*}:$tag"); done
    docker buildx imagetools create "${tags[@]}" "$image-amd64" "$image-arm64"
}
join "org/cml:$version" "$version" "$minor" "$major" latest
join "org/cml:$version-dvc3" "$version-dvc3" "$minor-dvc3" "$major-dvc3"
# A pipe is named by its whole version.
join "org/cml-pipe:$version" "$version"
