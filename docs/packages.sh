# shellcheck shell=sh
# Installs what a script needs, by the names of Debian's packages. To be sourced: . docs/packages.sh
#
# Quiet when nothing is missing. Elsewhere than on Debian and its relatives nothing is installed: what is missing is then for
# the build to say.

# Prints those of the packages that are not installed.
missing_packages() {
    for package in "$@"; do
        case $(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) in
        installed) ;;
        *) printf '%s ' "$package" ;;
        esac
    done
}

# Runs a command as root; its output is shown only when it fails.
quietly_as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        set -- env DEBIAN_FRONTEND=noninteractive "$@"
    else
        set -- sudo env DEBIAN_FRONTEND=noninteractive "$@"
    fi
    output=$("$@" </dev/null 2>&1) && return 0
    printf '%s\n' "$output" >&2
    return 1
}

# install_missing PACKAGE...: returns 0 when all are there in the end.
install_missing() {
    command -v dpkg-query >/dev/null && command -v apt-get >/dev/null || return 0
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
        printf 'These packages are missing: %s\nInstall them as root: apt-get update && apt-get install %s\n' "$missing" "$missing" >&2
        return 1
    fi
    printf 'installing %s\n' "$missing"
    quietly_as_root apt-get update --quiet || printf 'apt-get update failed; trying with the package lists that are there\n' >&2
    # shellcheck disable=SC2086 # One word per package.
    quietly_as_root apt-get install --yes --quiet --no-install-recommends $missing && return 0
    printf 'Installing failed. Try as root: apt-get install %s\n' "$missing" >&2
    return 1
}
