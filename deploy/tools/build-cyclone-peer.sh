#!/bin/sh
# Builds the peer of the tests with DDS Security, crates/dds/tests/peers/cyclone.c with what Debian's idlc makes of
# our IDL, on Debian's Cyclone DDS and its plugins, into the cache, under a name with the SHA-256 of its sources.
# Does nothing when it is there. Needs the package cyclonedds-tools. Of cyclonedds-dev only the headers are unpacked for
# the moment: installed it brings iceoryx, which Cyclone's own build then finds and links (docs/dds.md).
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
source=$root/crates/dds/tests/peers/cyclone.c
idl=$root/crates/dds/idl/glasshouse.idl
cache=${GLASSHOUSE_CACHE:-${HOME:?}/.cache/glasshouse}
case $cache in /*) ;; *) cache=$root/$cache ;; esac
peer=$cache/cyclone-peer/$(cat "$source" "$idl" | sha256sum | cut -c 1-16)
[ ! -x "$peer" ] || exit 0
mkdir -p "$cache/cyclone-peer"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
plugin=$(find /usr/lib /usr/local/lib -name libdds_security_auth.so 2>/dev/null | head -n 1)
(cd "$work" && { apt-get download cyclonedds-dev >/dev/null 2>&1 ||
    { apt-get update >/dev/null && apt-get download cyclonedds-dev >/dev/null; }; })
library=$(find /usr/lib /usr/local/lib -name 'libddsc.so.*' 2>/dev/null | head -n 1)
{
    dpkg -x "$work"/cyclonedds-dev_*.deb "$work/dev" >"$work/log" 2>&1 &&
    (cd "$work" && idlc -l c "$idl") >>"$work/log" 2>&1 &&
    cc -O1 -Wall -DPLUGINS="\"$(dirname "$plugin")\"" -I "$work" -I "$work/dev/usr/include" -I "$work/dev/usr/include/$(cc -print-multiarch)" "$source" "$work/glasshouse.c" -o "$work/peer" "$library" >>"$work/log" 2>&1
} || {
    cat "$work/log" >&2
    echo "the Cyclone DDS peer could not be built; is cyclonedds-tools there, and can apt-get download cyclonedds-dev?" >&2
    exit 1
}
# Moved into place when it is whole: two builds at once do not meet.
cp "$work/peer" "$peer.$$"
mv "$peer.$$" "$peer"
