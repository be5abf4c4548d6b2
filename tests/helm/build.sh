#!/usr/bin/env bash
# Builds the real helm, which tests make releases with, once per state of go.mod, and prints its
# path. The cache is that of the test clusters, outside the checkout.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
quietly=$PWD/../../scripts/quietly
cache=${TELECTL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/telectl}
keep=2 # older builds go

key=$(cat go.mod go.sum build.sh <(uname -m) | sha256sum | cut -c1-16)
target=$cache/helm-$key

mkdir -p "$cache"
exec 9>"$cache/helm.lock"
flock 9

if [[ ! -x $target/helm ]]; then
    echo "build.sh: building helm (about two minutes on two cores, once)" >&2
    part=$(mktemp -d "$cache/part.XXXXXX")
    trap 'rm -rf "$part"' EXIT
    # The flags of tests/cluster/build.sh: other ones would compile everything anew.
    CGO_ENABLED=0 GOWORK=off nice -n 5 "$quietly" "building helm" \
        go build -trimpath -gcflags=all=-dwarf=false -ldflags "-s -w" \
        -o "$part/helm" helm.sh/helm/v4/cmd/helm >&2
    chmod 755 "$part"
    mv -T "$part" "$target" 2>/dev/null || rm -rf "$part" # another build was first
    ls -dt "$cache"/helm-*/ | tail -n +$((keep + 1)) | xargs -r rm -rf
fi
touch "$target" # it is in use: keep it
echo "$target/helm"
