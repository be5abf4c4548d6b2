#!/usr/bin/env bash
# Builds packimage once per state of the sources and prints its path. The
# cache lies outside the checkout, as with tests/cluster/build.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
quietly=$PWD/../../scripts/quietly
cache=${TELECTL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/telectl}

key=$(find . -type f \( -name '*.go' -o -name go.mod -o -name '*.sh' \) ! -name '*_test.go' -print0 |
    LC_ALL=C sort -z | xargs -0 sha256sum | cat - <(uname -m) | sha256sum | cut -c1-16)
target=$cache/packimage-$key
mkdir -p "$cache"
exec 9>"$cache/images.lock"
flock 9
if [[ ! -x $target/packimage ]]; then
    part=$(mktemp -d "$cache/part.XXXXXX")
    trap 'rm -rf "$part"' EXIT
    export CGO_ENABLED=0 GOWORK=off
    "$quietly" "building packimage" go build -trimpath -ldflags '-s -w' -o "$part/packimage" .
    "$quietly" "building pause" go build -trimpath -ldflags '-s -w' -o "$part/pause" ./pause
    chmod 755 "$part"
    mv -T "$part" "$target"
    ls -dt "$cache"/packimage-* | tail -n +4 | xargs -r rm -rf
fi
touch "$target"
echo "$target/packimage"
