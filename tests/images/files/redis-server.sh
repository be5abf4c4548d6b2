#!/bin/sh
# redis-server as in the official image, which accepts connections from other
# hosts without a password: that build has protected mode off by default. This
# one has it on, so it is switched off unless the caller decides.
for arg; do
    case $arg in
    *protected-mode* | -v | --version | -h | --help | --test-memory | --check-system | -)
        exec /usr/bin/redis-server "$@"
        ;;
    esac
done
if [ -f "${1-}" ] && grep -qi '^[[:space:]]*protected-mode' "$1"; then
    exec /usr/bin/redis-server "$@"
fi
exec /usr/bin/redis-server "$@" --protected-mode no
