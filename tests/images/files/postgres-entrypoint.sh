#!/bin/bash
# The entry point of the official PostgreSQL image, as far as manifests rely
# on it: a new data folder is initialised from POSTGRES_* and from the scripts
# in /docker-entrypoint-initdb.d, then the server takes over this process.
set -eo pipefail

# from_file NAME [DEFAULT] sets a variable from the file that NAME_FILE names.
from_file() {
    local name=$1 file=$1_FILE value=${2-}
    if [[ ${!name:-} && ${!file:-} ]]; then
        echo >&2 "error: both $name and $file are set (but are exclusive)"
        exit 1
    fi
    if [[ ${!name:-} ]]; then
        value=${!name}
    elif [[ ${!file:-} ]]; then
        value=$(<"${!file}")
    fi
    export "$name"="$value"
    unset "$file"
}

# name_user makes the current user known where /etc/passwd does not list it:
# initdb insists on a name.
name_user() {
    grep -q "^[^:]*:[^:]*:$(id -u):" /etc/passwd && return
    NSS_WRAPPER_PASSWD=$(mktemp) NSS_WRAPPER_GROUP=$(mktemp)
    export LD_PRELOAD=libnss_wrapper.so NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
    echo "postgres:x:$(id -u):$(id -g):PostgreSQL:$PGDATA:/bin/false" >"$NSS_WRAPPER_PASSWD"
    echo "postgres:x:$(id -g):" >"$NSS_WRAPPER_GROUP"
}

unname_user() {
    [[ ${NSS_WRAPPER_PASSWD:-} ]] || return 0
    rm -f "$NSS_WRAPPER_PASSWD" "$NSS_WRAPPER_GROUP"
    unset LD_PRELOAD NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
}

check_password() {
    [[ $POSTGRES_PASSWORD || $POSTGRES_HOST_AUTH_METHOD == trust ]] && return
    cat >&2 <<'TEXT'
Error: Database is uninitialized and superuser password is not specified.
       You must specify POSTGRES_PASSWORD to a non-empty value for the
       superuser, or set POSTGRES_HOST_AUTH_METHOD=trust.
TEXT
    exit 1
}

init_database() {
    name_user
    local options=()
    [[ ! ${POSTGRES_INITDB_WALDIR:-} ]] || options+=(--waldir "$POSTGRES_INITDB_WALDIR")
    eval 'initdb --username="$POSTGRES_USER" --pwfile=<(printf "%s\n" "$POSTGRES_PASSWORD") "${options[@]}" '"$POSTGRES_INITDB_ARGS"
    unname_user
    local method=${POSTGRES_HOST_AUTH_METHOD:-$(postgres -C password_encryption)}
    printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"
}

run_sql() {
    PGHOST='' PGHOSTADDR='' psql -v ON_ERROR_STOP=1 --no-psqlrc --no-password --username "$POSTGRES_USER" "$@"
}

run_scripts() {
    local file
    for file in /docker-entrypoint-initdb.d/*; do
        case $file in
        *.sh)
            echo "$0: running $file"
            # shellcheck disable=SC1090
            if [[ -x $file ]]; then "$file"; else . "$file"; fi
            ;;
        *.sql) echo "$0: running $file" && run_sql --dbname "$POSTGRES_DB" -f "$file" ;;
        *.sql.gz) echo "$0: running $file" && gunzip -c "$file" | run_sql --dbname "$POSTGRES_DB" ;;
        *.sql.xz) echo "$0: running $file" && xzcat "$file" | run_sql --dbname "$POSTGRES_DB" ;;
        */\*) ;;
        *) echo "$0: ignoring $file" ;;
        esac
    done
}

# set_up runs a server that nobody else reaches, to make the database and to
# run the scripts.
set_up() {
    export PGPASSWORD="${PGPASSWORD:-$POSTGRES_PASSWORD}"
    pg_ctl -D "$PGDATA" -o "$(printf '%q ' "$@" -c listen_addresses= -p "${PGPORT:-5432}")" -w start
    if [[ $POSTGRES_DB != postgres ]]; then
        run_sql --dbname postgres --set db="$POSTGRES_DB" <<<'CREATE DATABASE :"db";'
    fi
    run_scripts
    pg_ctl -D "$PGDATA" -m fast -w stop
    unset PGPASSWORD
    printf '\nPostgreSQL init process complete; ready for start up.\n\n'
}

[[ ${1-} != -* ]] || set -- postgres "$@"
if [[ ${1-} == postgres ]]; then
    mkdir -p "$PGDATA"
    chmod 00700 "$PGDATA" 2>/dev/null || :
    if [[ $(id -u) == 0 ]]; then
        mkdir -p /var/run/postgresql
        find "$PGDATA" /var/run/postgresql \! -user postgres -exec chown postgres {} +
        exec setpriv --reuid postgres --regid postgres --clear-groups "${BASH_SOURCE[0]}" "$@"
    fi
    if [[ ! -s $PGDATA/PG_VERSION ]]; then
        from_file POSTGRES_PASSWORD
        from_file POSTGRES_USER postgres
        from_file POSTGRES_DB "$POSTGRES_USER"
        from_file POSTGRES_INITDB_ARGS
        : "${POSTGRES_HOST_AUTH_METHOD:=}"
        check_password
        init_database
        set_up "${@:2}"
    else
        printf '\nPostgreSQL Database directory appears to contain a database; Skipping initialization\n\n'
    fi
fi
exec "$@"
