#!/bin/sh
# Brings Postfix: its smtp-source, which the tests and benchmarks send with, its daemons, which the tests
# compare our mailbox with and the benchmarks measure beside it, and smtp-sink. Idempotent, without root: Debian's
# package is only unpacked, into .tools/postfix of this repository, so no service is installed and
# nothing listens afterwards.
set -eu
cd "$(dirname "$0")/../.."
tools="$PWD/.tools"

if ! [ -x "$tools/postfix/usr/sbin/smtp-source" ]; then
    if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg >/dev/null 2>&1; then
        echo "smtp-source is missing: put a Postfix installation's files under $tools/postfix (usr/sbin/smtp-source, usr/lib/postfix)" >&2
        exit 1
    fi
    # Downloading and unpacking need no root.
    new="$tools/postfix.new"
    rm -rf "$new"
    mkdir -p "$new/download"
    (cd "$new/download" && { apt-get download postfix >/dev/null 2>&1 ||
        { apt-get update >/dev/null && apt-get download postfix >/dev/null; }; })
    dpkg -x "$new"/download/postfix_*.deb "$new"
    rm -rf "$new/download" "$tools/postfix"
    mv "$new" "$tools/postfix"
fi

# The unpacked programs find their own libraries only when told; the system's must be there.
if LD_LIBRARY_PATH="$tools/postfix/usr/lib/postfix" ldd "$tools/postfix/usr/sbin/smtp-source" | grep "not found" >&2; then
    echo "smtp-source lacks the libraries above: install them (Debian: libicu, libdb5.3, libsasl2-2, libssl3)" >&2
    exit 1
fi
