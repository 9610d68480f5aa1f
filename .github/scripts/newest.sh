#!/usr/bin/env bash
# newest.sh TAG PATTERN: the newest of the versions that are published under a pattern (v1.2.*, v1.*, v*) and the one of the tag.
# A name that moves does so only for the newest: neither a fix of an older series, nor an older release that is started again,
# takes anybody back.
set -euo pipefail
tag=$1 pattern=$2
{
    echo "$tag"
    git ls-remote origin "refs/tags/action-$pattern" | sed 's|.*/action-||'
} | sort --version-sort | tail -n 1
