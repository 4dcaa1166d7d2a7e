#!/bin/sh
# Brings etcd, which the benchmarks measure beside our ledger. Idempotent, without root: Debian's
# package is only unpacked, into .tools/etcd of this repository, so no service is installed and
# nothing listens afterwards. An etcd on the path, or one that ETCD names, does as well.
set -eu
cd "$(dirname "$0")/../.."
tools="$PWD/.tools"
etcd="$tools/etcd/usr/bin/etcd"

if [ -x "${ETCD:-$etcd}" ] || command -v etcd >/dev/null 2>&1; then
    exit 0
fi
if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg >/dev/null 2>&1; then
    echo "etcd is missing: install it from https://etcd.io (3.4 or newer) so that it is on the path, or let ETCD name it" >&2
    exit 1
fi
new="$tools/etcd.new"
rm -rf "$new"
mkdir -p "$new/download"
(cd "$new/download" && { apt-get download etcd-server >/dev/null 2>&1 ||
    { apt-get update >/dev/null && apt-get download etcd-server >/dev/null; }; }) || {
    rm -rf "$new"
    echo "the package etcd-server cannot be had: \`apt-get update\` (as root) fetches package lists; or let ETCD name an etcd" >&2
    exit 1
}
dpkg -x "$new"/download/etcd-server_*.deb "$new"
rm -rf "$new/download" "$tools/etcd"
mv "$new" "$tools/etcd"
"$etcd" --version >/dev/null
