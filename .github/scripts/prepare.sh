#!/usr/bin/env bash
# Makes GitHub's Ubuntu ready for .ci/run and `cargo xtask dist`, which then need no root. The images that .ci/run tests get the
# program as it is released, which musl is for.
set -euo pipefail
# The compiler is a version, not whatever is stable today (rust-toolchain.toml).
rust=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
rustup toolchain install "$rust" --profile minimal --component clippy,rustfmt --no-self-update \
    --target wasm32-unknown-unknown --target "$(uname -m)-unknown-linux-musl"
echo "RUSTUP_TOOLCHAIN=$rust" >>"$GITHUB_ENV"
sudo apt-get update -qq
sudo apt-get install --yes --no-install-recommends -qq musl-tools python3-venv rsync systemd
