#!/bin/bash
# Builds the API server of Kubernetes and its controllers from Debian's source package, into the folder that is named: 11 minutes of processor
# time, once, and 4 GB of disk meanwhile. As root on Debian 12, the last release with the sources (version 1.20).
set -euo pipefail

to=$(realpath --canonicalize-missing "$1")
work=$to.build
mkdir -p "$to" "$work/lists/partial"
cd "$work"

apt-get install --yes --no-install-recommends -qq golang-go etcd-server make rsync
# Where the machine's own packages come from.
origin=$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/debian.sources | head -n 1)
echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $origin bookworm main" >sources
source=(-o "Dir::Etc::sourcelist=$work/sources" -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::lists=$work/lists")
apt-get "${source[@]}" update -qq
apt-get "${source[@]}" source --download-only -qq kubernetes
tar -xzf kubernetes_*.orig.tar.gz

# The reflect2 that it brings crashes with Go 1.18 and later.
apt-get download -qq golang-github-modern-go-reflect2-dev
dpkg-deb --extract golang-github-modern-go-reflect2-dev_*.deb reflect2
vendored=kubernetes-1.20.2/vendor/github.com/modern-go/reflect2
rm "$vendored"/*.go
cp reflect2/usr/share/gocode/src/github.com/modern-go/reflect2/*.go "$vendored"
rm -f "$vendored"/*_test.go

cd kubernetes-1.20.2
export GOPATH=$PWD/.go CGO_ENABLED=0 GOPROXY=off GOFLAGS=
mkdir -p "$GOPATH/src/k8s.io"
ln -sfn ../../.. "$GOPATH/src/k8s.io/kubernetes"
cd "$GOPATH/src/k8s.io/kubernetes"
for program in kube-apiserver kube-controller-manager; do
    make "WHAT=cmd/$program"
    cp "_output/local/bin/linux/$(dpkg --print-architecture)/$program" "$to"
done
ln -sf "$(command -v etcd)" "$to/etcd"
chmod -R u+w "$work"
rm -rf "$work"
