# Prometheus' own checker of metrics and rules; to be sourced by the scripts beside this file.

promtool_is_there() {
    if ! command -v promtool; then
        if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
            complain 'promtool is missing. On Debian, as root: apt-get update &&' \
                'apt-get install prometheus. Elsewhere it is part of Prometheus.'
        fi
        apt-get update --quiet
        DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends prometheus
        command -v promtool
    fi
}
