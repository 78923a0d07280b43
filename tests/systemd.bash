# systemd's own checker of units; to be sourced by the scripts beside this file.

systemd_analyze_is_there() {
    if ! command -v systemd-analyze; then
        if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
            complain 'systemd-analyze is missing. On Debian, as root: apt-get update &&' \
                'apt-get install systemd. Elsewhere it is part of systemd.'
        fi
        apt-get update --quiet
        DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends systemd
        command -v systemd-analyze
    fi
}

# The unit as the program prints it: no word of it may be unknown, and little may be left open.
unit_is_sound() {
    local directory unit
    directory=$(mktemp -d)
    unit=$directory/calendar-integration.service
    # Compiled with the tests, and not once more without their features.
    cargo test --locked --quiet --test it --no-run
    target/debug/calendar-integration systemd-unit >"$unit"
    # Words that systemd does not know are warnings to it, which it answers with 0.
    if ! systemd-analyze verify --man=no "$unit" >"$directory/said" 2>&1 ||
        grep --fixed-strings calendar-integration.service "$directory/said"; then
        cat "$directory/said"
        complain 'systemd does not accept the unit'
    fi
    # From 0, closed, to 100, open.
    systemd-analyze security --offline=true --threshold=25 "$unit" | tail --lines 1
    rm --recursive "$directory"
}
