# shellcheck shell=bash
# What the other scripts share. Sourced, never run.
#
# Progress and complaints go to stderr, results to stdout, so that a script's output can be used by another one.

set -euo pipefail

# shellcheck disable=SC2034 # used by the scripts that source this file
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Things that take minutes to build and do not depend on the checkout: the real Vault, cargo-deny, cargo-llvm-cov.
# Outside the checkout, so that a second clone, or `git clean`, does not cost those minutes again.
# shellcheck disable=SC2034 # used by the scripts that source this file
cache_dir="${SECRETS_SERVICE_CACHE_DIR:-${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/secrets-service}"

say() { printf '%s\n' "$*" >&2; }

# die MESSAGE [EXIT_CODE]
die() {
    say "$1"
    exit "${2:-1}"
}

have() { command -v "$1" >/dev/null 2>&1; }

# as_root COMMAND...: runs it as root without ever asking for a password; fails if that is not possible.
as_root() {
    if [[ $(id -u) == 0 ]]; then
        "$@"
    elif have sudo && sudo -n true 2>/dev/null; then
        sudo -n "$@"
    else
        return 1
    fi
}

# apt_install PACKAGE...: quietly; on failure says in one line what to run instead.
apt_install() {
    local by_hand="sudo apt-get install -y --no-install-recommends $*"
    have apt-get || die "Please install the equivalent of these Debian packages, then try again: $*"
    as_root true || die "Not root and no passwordless sudo. Please run: $by_hand"
    say "Installing $* (apt-get) ..."
    local options=(-y -qq --no-install-recommends -o DPkg::Lock::Timeout=300)
    local log
    log=$(mktemp)
    # The package lists may be missing (container images) or stale: refresh them only when the first try fails.
    if as_root env DEBIAN_FRONTEND=noninteractive apt-get install "${options[@]}" "$@" >"$log" 2>&1 ||
        { as_root apt-get update -qq >>"$log" 2>&1 &&
            as_root env DEBIAN_FRONTEND=noninteractive apt-get install "${options[@]}" "$@" >>"$log" 2>&1; }; then
        rm -f "$log"
    else
        tail -n 15 "$log" >&2
        rm -f "$log"
        die "apt-get could not install $*; see above. By hand: $by_hand"
    fi
}

# cargo_tool NAME VERSION: prints the path of that cargo subcommand's binary, building it once if nobody has it.
cargo_tool() {
    local name=$1 version=$2
    local home="$cache_dir/tools/$name-$version"
    local binary="$home/bin/$name"
    if have "$name"; then
        command -v "$name"
        return
    fi
    if [[ ! -x $binary ]]; then
        mkdir -p "$home"
        # One builder at a time; the others wait and then find it built.
        (flock 9 && build_cargo_tool "$name" "$version" "$home") 9>"$home/lock" ||
            die "Could not build $name $version; see above."
    fi
    printf '%s\n' "$binary"
}

build_cargo_tool() {
    local name=$1 version=$2 home=$3
    [[ -x "$home/bin/$name" ]] && return
    say "Building $name $version into $home (a few minutes, once per machine) ..."
    # Its own target directory: the tool's build must neither wait for nor disturb this workspace's.
    CARGO_TARGET_DIR="$home/target" \
        cargo install --quiet --locked --root "$home" --version "$version" "$name" >&2 &&
        rm -rf "$home/target"
}

# section TITLE: a header that stands out in a long log.
section() { printf '\n==> %s\n' "$*" >&2; }
