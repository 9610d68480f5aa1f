#!/usr/bin/env bash
# context.sh PROGRAMS CONTEXT: the folder that the images are built from. PROGRAMS has cml-linux-x86_64, cml-linux-aarch64 or both.
# What becomes of a program is an archive, as folders that are copied would get the time of the build: the same program gives
# the same image.
set -euo pipefail
programs=$1 context=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
epoch=${SOURCE_DATE_EPOCH:-$(git -C "$here" log -1 --format=%ct)}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
mkdir -p "$root/usr/local/bin" "$context"
cp "$here"/image/{Dockerfile,closure.sh,requirements.txt} "$here"/action/vega.{txt,py} "$context"
for name in send-comment send-github-check publish tensorboard-dev runner pr; do
    ln -s cml "$root/usr/local/bin/cml-$name"
done
for arch in amd64=x86_64 arm64=aarch64; do
    program=$programs/cml-linux-${arch#*=}
    if [[ ! -e "$program" ]]; then continue; fi
    install -m 755 "$program" "$root/usr/local/bin/cml"
    tar --create --file "$context/${arch%=*}.tar" --directory "$root" --sort=name --mtime="@$epoch" \
        --owner=0 --group=0 --numeric-owner --mode=u+rwX,go+rX,go-w usr
done
