#!/usr/bin/env bash
# version.sh TAG: whether the sources are of the version that the tag names, and the changelog tells of it.
set -euo pipefail
tag=$1
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
if [[ "$tag" != "v$version" ]]; then
    echo "error: the tag is $tag, Cargo.toml has version $version" >&2
    echo "hint: remove the tag, commit the version, and tag that commit" >&2
    exit 1
fi
if ! grep -qF "## [$version]" CHANGELOG.md; then
    echo "error: CHANGELOG.md has no section [$version]" >&2
    echo "hint: give what is under [Unreleased] that heading, and tag that commit" >&2
    exit 1
fi
