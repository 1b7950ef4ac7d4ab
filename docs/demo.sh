#!/bin/sh
# Builds the crawler of docs/examples and lets it crawl a site of its own: sh docs/demo.sh [options of crawl] [URL]
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
build=$root/build/demo

. "$root/docs/packages.sh"
# dpkg-dev tells meson where Debian keeps libraries.
install_missing meson ninja-build dpkg-dev gcc g++ libc6-dev pkg-config libxml2-dev liburiparser-dev libjansson-dev uthash-dev

# Says what it does only when that goes wrong.
quietly() {
    output=$("$@" 2>&1) && return 0
    printf '%s\n%s failed\n' "$output" "$1" >&2
    return 1
}

if [ ! -f "$build/build.ninja" ]; then
    echo "configuring $build"
    quietly meson setup "$build" "$root" --buildtype=release -Dwerror=false -Dtests=false -Dbench=false -Dexamples=enabled
fi
echo "building crawl"
quietly ninja -C "$build" docs/examples/crawl

crawl=$build/docs/examples/crawl
if [ $# -gt 0 ]; then
    exec "$crawl" "$@"
fi

printf '\n$ %s\n' "$crawl"
"$crawl"
cat <<END

That was a small site which crawl served to itself. To crawl one of yours:

    $crawl --jobs 16 --json pages.json http://localhost/

All options: $crawl --help
END
