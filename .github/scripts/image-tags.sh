#!/usr/bin/env bash
# image-tags.sh TAG: the images that image.sh has pushed for each architecture become one, under the names that users write.
set -euo pipefail
tag=$1
version=${tag#v}
minor=${version%.*} major=${version%%.*}
scripts=$(dirname "${BASH_SOURCE[0]}")
"$scripts/login.sh"
# The names that move: those of which this is the newest version.
names=() latest=()
for name in "$minor" "$major"; do
    newest=$("$scripts/newest.sh" "$tag" "v$name.*")
    if [[ "$newest" == "$tag" ]]; then names+=("$name"); fi
done
newest=$("$scripts/newest.sh" "$tag" 'v*')
if [[ "$newest" == "$tag" ]]; then latest=(latest); fi
# join REPOSITORY:VERSION TAG…
join() {
    local image=$1 tags=()
    shift
    for tag in "$@"; do tags+=(--tag "${image%:*}:$tag"); done
    docker buildx imagetools create "${tags[@]}" "$image-amd64" "$image-arm64"
}
join "org/cml:$version" "$version" "${names[@]}" "${latest[@]}"
join "org/cml:$version-dvc3" "$version-dvc3" "${names[@]/%/-dvc3}"
join "org/cml:$version-dvc3-gpu" "$version-dvc3-gpu" "${names[@]/%/-dvc3-gpu}"
# A pipe is named by its whole version.
join "org/cml-pipe:$version" "$version"
