# A throw-away PostgreSQL server for tests; to be sourced by the scripts beside this file.

cluster=

complain() {
    printf '%s\n' "$*" >&2
    return 1
}

# Prints where the programs of the newest PostgreSQL on this machine are.
postgres_programs() {
    local newest='' initdb
    for initdb in $(command -v initdb) $(printf '%s\n' /usr/lib/postgresql/*/bin/initdb | sort -V); do
        [[ ! -x $initdb ]] || newest=${initdb%/initdb}
    done
    [[ -n $newest ]] && printf '%s\n' "$newest"
}

postgres_is_there() {
    if ! postgres_programs; then
        if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
            complain 'PostgreSQL (initdb, pg_ctl) is missing. On Debian, as root: apt-get update &&' \
                'apt-get install postgresql. Or name a server in TEST_POSTGRES_URL.'
        fi
        apt-get update --quiet
        DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends postgresql
        postgres_programs
    fi
}

# PostgreSQL refuses to run as root.
as_postgres() {
    if [[ $(id -u) == 0 ]]; then
        setpriv --reuid=postgres --regid=postgres --init-groups env --chdir="$cluster" "$@"
    else
        "$@"
    fi
}

# Durability is switched off: the databases live for seconds.
start_postgres() {
    local programs
    programs=$(postgres_programs)
    cluster=$(mktemp --directory --tmpdir=/tmp)
    if [[ $(id -u) == 0 ]]; then
        chown postgres: "$cluster"
    fi
    as_postgres "$programs/initdb" --pgdata="$cluster/data" --username=postgres --auth=trust \
        --encoding=UTF8 --no-locale --no-sync >/dev/null
    as_postgres "$programs/pg_ctl" start --silent --wait --pgdata="$cluster/data" \
        --log="$cluster/log" --options="-c listen_addresses='' -c unix_socket_directories=$cluster \
        -c max_connections=500 -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
    export TEST_POSTGRES_URL="postgres://postgres@${cluster//\//%2F}/postgres"
    as_postgres "$programs/pg_ctl" --version
}

stop_postgres() {
    if [[ -n $cluster ]]; then
        as_postgres "$(postgres_programs)/pg_ctl" stop --silent --mode=immediate \
            --pgdata="$cluster/data" || true
        rm -rf "$cluster"
        cluster=
    fi
}
