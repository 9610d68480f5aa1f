#!/usr/bin/env bash
# formula.sh TAG PROGRAMS: prints Homebrew's formula of a release, with the digests of its programs.
set -euo pipefail
tag=$1 programs=$2
# program NAME: the address of a program and its digest.
program() {
    local sha256
    sha256=$(sha256sum <"$programs/$1") || return
    printf '      url "https://github.com/org/setup-cml-rs/releases/download/%s/%s"\n' "$tag" "$1"
    printf '      sha256 "%s"\n' "${sha256%% *}"
}
macos_arm=$(program cml-macos-aarch64)
macos_intel=$(program cml-macos-x86_64)
linux_arm=$(program cml-linux-aarch64)
linux_intel=$(program cml-linux-x86_64)
cat <<FORMULA
class Cml < Formula
  desc "Reports, gates and runners for machine learning in CI"
  homepage "https://github.com/org/setup-cml-rs"
  version "${tag#v}"
  license "Apache-2.0"

  on_macos do
    on_arm do
$macos_arm
    end
    on_intel do
$macos_intel
    end
  end

  on_linux do
    on_arm do
$linux_arm
    end
    on_intel do
$linux_intel
    end
  end

  def install
    bin.install Dir["cml-*"].first => "cml"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/cml --version")
  end
end
FORMULA
