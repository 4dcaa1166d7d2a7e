#!/bin/sh
# Brings the mail clients that the tests talk to: swaks (with STARTTLS) and Postfix's smtp-source.
# Idempotent. As root on a system with apt it installs what is missing; otherwise it says in a
# sentence what to install. No Postfix daemon is installed: smtp-source is only unpacked, into
# .tools/postfix of this repository.
set -eu
cd "$(dirname "$0")/../.."
tools="$PWD/.tools"

have_swaks() { swaks --version >/dev/null 2>&1 && perl -MNet::SSLeay -e 1 2>/dev/null; }
have_source() { [ -x "$tools/postfix/usr/sbin/smtp-source" ]; }
can_apt() { command -v apt-get >/dev/null 2>&1; }

if ! have_swaks; then
    if ! can_apt || [ "$(id -u)" != 0 ]; then
        echo "swaks is missing: install the packages swaks and libnet-ssleay-perl (perl Net::SSLeay)" >&2
        exit 1
    fi
    apt-get install -y --no-install-recommends swaks libnet-ssleay-perl >/dev/null ||
        { apt-get update >/dev/null && apt-get install -y --no-install-recommends swaks libnet-ssleay-perl >/dev/null; }
fi

if ! have_source; then
    if ! can_apt || ! command -v dpkg >/dev/null 2>&1; then
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
