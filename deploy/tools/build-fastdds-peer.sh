#!/bin/sh
# Builds the tests' peer on eProsima Fast DDS, crates/dds/tests/peers/fastdds.cpp with what fastddsgen makes
# of two IDL files, into the cache, under a name with the SHA-256 of its sources. Does nothing when it is
# there. Needs the packages libfastrtps-dev and fastddsgen.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
source=$root/crates/dds/tests/peers/fastdds.cpp
idl=$root/crates/dds/idl/glasshouse.idl
newer=$root/crates/dds/tests/peers/newer.idl
cache=${GLASSHOUSE_CACHE:-${HOME:?}/.cache/glasshouse}
case $cache in /*) ;; *) cache=$root/$cache ;; esac
peer=$cache/fastdds-peer/$(cat "$source" "$idl" "$newer" | sha256sum | cut -c 1-16)
[ ! -x "$peer" ] || exit 0
mkdir -p "$cache/fastdds-peer"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
{
    fastddsgen -replace -d "$work" "$idl" >"$work/log" 2>&1 &&
    fastddsgen -replace -d "$work" "$newer" >>"$work/log" 2>&1 &&
    c++ -std=c++17 -O1 -I "$work" "$source" "$work"/*.cxx -o "$work/peer" -lfastrtps -lfastcdr >>"$work/log" 2>&1
} || {
    cat "$work/log" >&2
    echo "the Fast DDS peer could not be built; are libfastrtps-dev and fastddsgen there?" >&2
    exit 1
}
# Moved into place when it is whole: two builds at once do not meet.
cp "$work/peer" "$peer.$$"
mv "$peer.$$" "$peer"
