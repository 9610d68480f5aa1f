#!/usr/bin/env bash
# Makes GitHub's Ubuntu ready for .ci/run and `cargo xtask dist`, which then need no root.
set -euo pipefail
rustup toolchain install stable --profile minimal --component clippy,rustfmt --target wasm32-unknown-unknown --no-self-update
rustup default stable
sudo apt-get update -qq
sudo apt-get install --yes --no-install-recommends -qq python3-venv rsync systemd
