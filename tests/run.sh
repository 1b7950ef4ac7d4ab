#!/bin/sh
# Builds everything and runs all tests: plainly, then under ASan, UBSan and LSan, then under TSan what uses threads.
#
#   sh tests/run.sh                 all three
#   sh tests/run.sh plain           one of them: plain, asan, tsan
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$root/docs/packages.sh"

case ${1:-all} in
all) builds='plain asan tsan' ;;
plain | asan | tsan) builds=$1 ;;
*)
    printf 'usage: sh tests/run.sh [plain|asan|tsan]\n' >&2
    exit 2
    ;;
esac

# dpkg-dev tells meson where Debian keeps libraries.
install_missing meson ninja-build dpkg-dev make gcc g++ clang libclang-rt-14-dev libc6-dev pkg-config binutils \
    gawk python3 doxygen valgrind libcmocka-dev libevent-dev libxml2-dev liburiparser-dev libjansson-dev uthash-dev \
    nginx-light g++-aarch64-linux-gnu qemu-user \
    libsdl2-dev libsdl2-ttf-dev fonts-dejavu-core libgtk-4-dev qt6-base-dev qtbase5-dev libglib2.0-dev libuv1-dev libev-dev \
    libsystemd-dev python3-uvloop xvfb python3-pil tesseract-ocr

if ! getent ahosts localhost >/dev/null; then
    printf 'The tests look up localhost, which has no address here. Add to /etc/hosts: 127.0.0.1 localhost\n' >&2
    exit 1
fi

# The tests watch descriptors that are too high for select.
limit=$(ulimit -H -n)
if [ "$limit" != unlimited ] && [ "$limit" -lt 2048 ]; then
    printf 'The tests need a hard limit of at least 2048 open files (ulimit -H -n), here it is %s\n' "$limit" >&2
    exit 1
fi

# Shows a step's output only when it fails.
quietly() {
    log=$build.log
    "$@" >"$log" 2>&1 && return 0
    cat "$log" >&2
    return 1
}

configure() {
    [ -f "$build/build.ninja" ] && return 0
    mkdir -p "$root/build"
    quietly meson setup "$build" "$root" -Dexamples=enabled "$@"
}

# Many tests wait more than they compute.
processes=$((2 * $(nproc)))

# A sanitizer sees one Qt as well as two, and says nothing of what only looks at headers and texts, which is left out there.
some_hosts=glib,sdl,uv,libevent,libev,sd-event
for name in $builds; do
    build=$root/build/test-$name
    echo "== $name: building $build"
    targets=all
    case $name in
    plain) configure ;;
    asan)
        # At -O2 gcc takes half a minute for each of the coroutine tests, as long as for all the rest.
        configure -Doptimization=g -Db_sanitize=address,undefined -Db_lundef=false -Dbench=false -Dhosts=$some_hosts,qt6
        ;;
    tsan)
        # gcc's runtime has room for few fibers.
        CC=clang CXX=clang++ configure -Db_sanitize=thread -Db_lundef=false -Dbench=false -Dhosts=$some_hosts
        targets=$(python3 "$root/tests/suite_targets.py" "$build" threads)
        ;;
    esac
    # shellcheck disable=SC2086 # One word per target.
    quietly ninja -C "$build" $targets
    echo "== $name: testing"
    case $name in
    tsan) meson test -C "$build" --no-rebuild --print-errorlogs --num-processes $processes --suite threads ;;
    *) meson test -C "$build" --no-rebuild --print-errorlogs --num-processes $processes ;;
    esac
done
