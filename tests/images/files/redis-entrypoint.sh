#!/bin/sh
# The entry point of the official Redis image: options and the name of a
# configuration file go to redis-server, anything else is a command.
set -e
case ${1-} in
-* | *.conf) set -- redis-server "$@" ;;
esac
# By its path: this shell would run its own, lesser setpriv.
if [ "${1-}" = redis-server ] && [ "$(id -u)" = 0 ]; then
    find . \! -user redis -exec chown redis {} +
    exec /usr/bin/setpriv --reuid redis --regid redis --clear-groups "$0" "$@"
fi
[ "$(umask)" != 0022 ] || umask 0077
exec "$@"
