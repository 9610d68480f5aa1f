#!/usr/bin/env bash
# wheels.sh PROGRAMS FOLDER: packages for Python of a release's programs, one for each. PROGRAMS has files named as in a release:
# cml-linux-x86_64, cml-windows-x86_64.exe, … Nothing is compiled: maturin writes what pyproject.toml says of the package, and `wheel` packs
# it with the program as it is. The same programs give the same packages.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
mkdir -p "$2"
programs=$(cd "$1" && pwd) folder=$(cd "$2" && pwd)
cd "$here"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
maturin pep517 write-dist-info --quiet --interpreter python3 --metadata-directory "$work" >&2
info=$(echo "$work"/*.dist-info)

# platforms NAME: the platforms that a program runs on, as Python names them. Linux's is static: any C library will do. macOS's are the
# oldest that Rust compiles for.
platforms() {
    local arch=${1##*-}
    case "$1" in
    cml-linux-x86_64 | cml-linux-aarch64) echo "manylinux_2_17_$arch manylinux2014_$arch musllinux_1_1_$arch" ;;
    cml-macos-x86_64) echo macosx_10_12_x86_64 ;;
    cml-macos-aarch64) echo macosx_11_0_arm64 ;;
    cml-windows-x86_64.exe) echo win_amd64 ;;
    *)
        echo "error: $programs has $1, which is not the name of a program in a release" >&2
        return 1
        ;;
    esac
}

for program in "$programs"/*; do
    tags=$(platforms "${program##*/}")
    name=cml suffix=
    if [[ "$program" == *.exe ]]; then suffix=.exe; fi
    package=$work/${program##*/}.package
    scripts=$package/$(basename "$info" .dist-info).data/scripts
    mkdir -p "$scripts"
    install -m 755 "$program" "$scripts/$name$suffix"
    cp -r "$info" "$package"
    sed -i.bak '/^Tag: /d' "$package/$(basename "$info")/WHEEL"
    rm "$package/$(basename "$info")/WHEEL.bak"
    for tag in $tags; do echo "Tag: py3-none-$tag"; done >>"$package/$(basename "$info")/WHEEL"
    python3 -m wheel pack --dest-dir "$folder" "$package" >&2
done
