#!/usr/bin/env bash
# Builds testcluster and what it starts, once per state of the sources, and
# prints the path of the binary. The cache lies outside the checkout, so that
# a fresh clone finds what an earlier one built.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
quietly=$PWD/../../scripts/quietly
cache=${TELECTL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/telectl}
kubernetes=v1.34.4
keep=3 # older builds go

if [[ $(uname -s) != Linux ]]; then
    echo "build.sh: test clusters need Linux; use a Linux machine or a virtual one" >&2
    exit 1
fi

# key FOLDER... names the state of the Go sources in the folders.
key() {
    find "$@" -type f \( -name '*.go' -o -name go.mod -o -name go.sum -o -name build.sh \) ! -name '*_test.go' -print0 |
        LC_ALL=C sort -z | xargs -0 sha256sum | cat - <(uname -m) | sha256sum | cut -c1-16
}

# build FOLDER PACKAGE OUT [LINKFLAGS] compiles a static program. Debugging
# information is left out already while compiling: it costs time and nobody
# reads it.
build() {
    (cd "$1" && CGO_ENABLED=0 GOWORK=off nice -n 5 "$quietly" "building ${3##*/}" \
        go build -trimpath -gcflags=all=-dwarf=false -ldflags "-s -w ${4:-}" -o "$3" "$2") >&2
}

# publish KIND DIR TARGET makes a finished folder visible under its name, whole,
# and removes the oldest of its kind.
publish() {
    mv -T "$2" "$3" 2>/dev/null || rm -rf "$2" # another build was first
    ls -dt "$cache/$1"-* | tail -n +$((keep + 1)) | xargs -r rm -rf
}

mkdir -p "$cache"
exec 9>"$cache/build.lock"
flock 9

coredns=$cache/coredns-$(key coredns)
if [[ ! -x $coredns/coredns ]]; then
    echo "build.sh: building CoreDNS (about three minutes on two cores, once)" >&2
    part=$(mktemp -d "$cache/part.XXXXXX")
    trap 'rm -rf "$part"' EXIT
    build coredns . "$part/coredns"
    publish coredns "$part" "$coredns"
fi

target=$cache/testcluster-$(key . ../images/oci ../images/pause)
if [[ ! -x $target/testcluster ]]; then
    echo "build.sh: building Kubernetes $kubernetes (about seven minutes on two cores the first time)" >&2
    part=$(mktemp -d "$cache/part.XXXXXX")
    trap 'rm -rf "$part"' EXIT
    version=k8s.io/component-base/version
    build . . "$part/testcluster" \
        "-X $version.gitVersion=$kubernetes -X $version.gitMajor=1 -X $version.gitMinor=34"
    build ../images ./pause "$part/pause"
    # Copied, not linked: a cluster sees no other folder of the cache.
    cp "$coredns/coredns" "$part/coredns"
    ln -s testcluster "$part/kubectl"
    chmod 755 "$part"
    publish testcluster "$part" "$target"
fi
touch "$target" # it is in use: keep it
echo "$target/testcluster"
