# The tools with which others work on the API's document, at pinned versions below target/openapi; to
# be sourced by the script beside this file, which sets where it lies and where they go, and by
# tests/browser/run for what Debian has of them.
# shellcheck disable=SC2154 # here, work

debian_has() { # debian_has PACKAGE... : installs them, as root on Debian
    if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
        complain "missing: what Debian has in $*. As root: apt-get update && apt-get install $*"
    fi
    apt-get update --quiet
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends "$@"
}

node_is_there() {
    if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
        debian_has nodejs npm
    fi
    local version
    version=$(node --version)
    if [[ ${version//[!0-9.]/} != [2-9][0-9].* ]]; then
        complain "Node.js $version is too old: 20 or newer is needed"
    fi
}

# Spectral, Redocly, openapi-typescript and the compiler of TypeScript.
node_tools() {
    node_is_there
    if ! cmp --quiet "$here/package-lock.json" "$work/node/installed"; then
        mkdir -p "$work/node"
        cp "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$work/node/"
        # No scripts: nothing that is installed needs any.
        npm ci --prefix "$work/node" --ignore-scripts --no-audit --no-fund --loglevel=error
        cp "$here/package-lock.json" "$work/node/installed"
    fi
}

python_is_there() {
    if ! python3 -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        debian_has python3-venv
    fi
}

# openapi-python-client with mypy, and schemathesis.
python_tools() {
    python_is_there
    if ! cmp --quiet "$here/requirements.txt" "$work/venv/installed"; then
        rm -rf "$work/venv"
        python3 -m venv "$work/venv"
        "$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps \
            --requirement "$here/requirements.txt"
        cp "$here/requirements.txt" "$work/venv/installed"
    fi
}
