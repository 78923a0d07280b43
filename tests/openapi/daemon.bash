# A daemon with simulated providers, for tests that send it whatever they like; to be sourced by the
# script beside this file.

# What is to be ended with it.
running=()
scratch=

# Waits until the command holds, if the process is still there. COMMAND is tried every 0.1 s, for a minute.
wait_for() { # wait_for PROCESS LOG COMMAND...
    local process=$1 log=$2 deadline=$((SECONDS + 60))
    shift 2
    until "$@" >/dev/null 2>&1; do
        if ! kill -0 "$process" 2>/dev/null || ((SECONDS > deadline)); then
            complain 'it does not start:' "$(tail -n 20 "$log")"
        fi
        sleep 0.1
    done
}

psql_of_cluster() {
    "$(postgres_programs)/psql" --quiet --no-psqlrc --set ON_ERROR_STOP=1 "$TEST_POSTGRES_URL" "$@"
}

# Exports API_URL and the daemon's settings, among them what `calendar-integration token` signs with.
start_daemon() { # start_daemon sqlite|postgres DIRECTORY
    local program=$PWD/target/debug/calendar-integration place=$2
    "$program" simulator >"$place/simulator.log" 2>&1 &
    running+=($!)
    wait_for $! "$place/simulator.log" grep --quiet 'Ctrl-C' "$place/simulator.log"
    local port line
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    while read -r line; do
        export "${line?}"
    done < <(grep -E '^[A-Z_]+=' "$place/simulator.log")
    API_URL=http://127.0.0.1:$port
    BIND_ADDRESS=127.0.0.1:$port PUBLIC_URL=$API_URL
    AUTH_JWT_SECRET=$("$program" keys generate)
    TOKEN_ENCRYPTION_KEYS=$("$program" keys generate)
    # Thousands of requests a minute, each from another address: see hooks.py. How much may be asked, and
    # how long bad tokens wait, has stories of its own in tests/it/request_limits.rs.
    TRUSTED_PROXIES=127.0.0.1
    REQUEST_LIMIT_PER_COACH=100000000/1m REQUEST_LIMIT_PER_SERVICE=100000000/1m
    REQUEST_LIMIT_PER_ADDRESS=100000000/1m
    case $1 in
        sqlite) DATABASE_URL="sqlite://$place/daemon.db?mode=rwc" ;;
        postgres)
            scratch=openapi_$$
            psql_of_cluster --command "CREATE DATABASE $scratch"
            DATABASE_URL=${TEST_POSTGRES_URL%/*}/$scratch
            ;;
    esac
    export API_URL BIND_ADDRESS PUBLIC_URL AUTH_JWT_SECRET TOKEN_ENCRYPTION_KEYS TRUSTED_PROXIES
    export REQUEST_LIMIT_PER_COACH REQUEST_LIMIT_PER_SERVICE REQUEST_LIMIT_PER_ADDRESS DATABASE_URL
    RUST_LOG=warn,calendar_integration::cli=info "$program" serve >"$place/daemon.log" 2>&1 &
    running+=($!)
    wait_for $! "$place/daemon.log" grep --quiet "serving address" "$place/daemon.log"
}

# The demo. Exports API_URL and API_TOKEN, of an operator.
start_demo() { # start_demo DIRECTORY
    local log=$1/demo.log
    target/debug/calendar-integration demo >"$log" 2>&1 &
    running+=($!)
    wait_for $! "$log" grep --quiet 'Ctrl-C' "$log"
    API_URL=$(sed -n 's|^Documentation *\(.*\)/docs$|\1|p' "$log")
    API_TOKEN=$(sed -n 's/^ *TOKEN=//p' "$log")
    export API_URL API_TOKEN
}

# The last one first: the daemon, then the simulator it calls.
stop_all() {
    local index
    for ((index = ${#running[@]} - 1; index >= 0; index--)); do
        kill "${running[index]}" 2>/dev/null || true
        wait "${running[index]}" 2>/dev/null || true
    done
    running=()
    if [[ -n $scratch ]]; then
        psql_of_cluster --command "DROP DATABASE IF EXISTS $scratch WITH (FORCE)" || true
        scratch=
    fi
}
