#!/bin/sh
# Brings rdkafka_performance, librdkafka's own measuring consumer, which the benchmarks measure beside our feed, into
# .tools/rdkafka-performance of this repository. Debian ships it as an example's source in librdkafka-dev; it is built
# against the installed library. Does nothing when it is there.
set -eu
cd "$(dirname "$0")/../.."
tools="$PWD/.tools"
program="$tools/rdkafka-performance/rdkafka_performance"

[ ! -x "$program" ] || exit 0
new="$tools/rdkafka-performance.new"
rm -rf "$new"
mkdir -p "$new/src/examples" "$new/src/src"
example=usr/share/doc/librdkafka-dev/examples/rdkafka_performance.c
# Images of containers often leave documentation out: then it is taken from the package itself.
root=/
if [ ! -f "/$example" ] && [ ! -f "/$example.gz" ]; then
    root="$new/package"
    mkdir -p "$root"
    (cd "$new" && { apt-get download librdkafka-dev >/dev/null 2>&1 ||
        { apt-get update >/dev/null && apt-get download librdkafka-dev >/dev/null; }; }) || {
        rm -rf "$new"
        echo "the package librdkafka-dev cannot be had: \`apt-get update\` (as root) fetches package lists" >&2
        exit 1
    }
    dpkg -x "$new"/librdkafka-dev_*.deb "$root"
fi
if [ -f "$root/$example" ]; then
    cp "$root/$example" "$new/src/examples/"
else
    gzip -dc "$root/$example.gz" >"$new/src/examples/rdkafka_performance.c"
fi
cp deploy/tools/rdkafka-performance/rd.h "$new/src/src/"
: >"$new/src/src/rdtime.h"
# shellcheck disable=SC2046
cc -O2 -o "$new/rdkafka_performance" "$new/src/examples/rdkafka_performance.c" -I "$new/src/src" \
    -I "$(pkg-config --variable=includedir rdkafka)/librdkafka" $(pkg-config --libs rdkafka) -lm
rm -rf "$new/src" "$new/package" "$tools/rdkafka-performance"
rm -f "$new"/*.deb
mv "$new" "$tools/rdkafka-performance"
