#!/usr/bin/env bash
# program.sh NAME: the native program of this machine, as programs/NAME.
set -euo pipefail
name=$1
# The compiler is a version, not whatever is stable today (rust-toolchain.toml).
RUSTUP_TOOLCHAIN=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
export RUSTUP_TOOLCHAIN
rustup toolchain install "$RUSTUP_TOOLCHAIN" --profile minimal --no-self-update
case "$name" in
cml-linux-*)
    rustup target add "$(uname -m)-unknown-linux-musl"
    sudo apt-get update -qq
    sudo apt-get install --yes --no-install-recommends -qq musl-tools
    ;;
esac
# The first line of what it prints is the path.
path=$(cargo xtask release | sed -n 1p)
mkdir -p programs
cp "$path" "programs/$name"
"programs/$name" --version
