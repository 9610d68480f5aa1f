#!/usr/bin/env bash
# program.sh NAME: the native program of this machine, as programs/NAME.
set -euo pipefail
name=$1
case "$name" in
# .cargo/rustc is for /bin/sh.
*.exe) export RUSTC_WRAPPER='' ;;
esac
rustup toolchain install stable --profile minimal --no-self-update
rustup default stable
# The first line of what it prints is the path.
path=$(cargo xtask release | sed -n 1p)
mkdir -p programs
cp "$path" "programs/$name"
"programs/$name" --version
