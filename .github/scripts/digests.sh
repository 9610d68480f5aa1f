#!/usr/bin/env bash
# digests.sh FOLDER: records the digests of a release's programs, makes everything that has them in it, and leaves the
# change as made.patch.
set -euo pipefail
folder=$1
programs=(cml-linux-x86_64 cml-linux-aarch64 cml-macos-x86_64 cml-macos-aarch64 cml-windows-x86_64.exe)
for name in "${programs[@]}"; do
    if [[ ! -f "$folder/$name" ]]; then
        echo "error: $folder has no $name" >&2
        exit 1
    fi
done
cargo xtask digests "$folder"
cargo xtask dist
cargo xtask docs
git diff --binary --no-renames >made.patch
