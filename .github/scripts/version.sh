#!/usr/bin/env bash
# version.sh TAG: whether the sources are of the version that the tag names, the changelog tells of it, and README of its series.
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
series=${tag%%.*}
if ! grep -q "setup-cml-rs@$series\$" README.md; then
    echo "error: README.md has no line \`uses: org/setup-cml-rs@$series\`" >&2
    echo "hint: release the series that users are told to take, or tell them of $series everywhere, and tag that commit" >&2
    exit 1
fi
