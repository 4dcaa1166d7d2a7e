#!/bin/sh
# Brings the mail clients that the tests talk to: swaks (with STARTTLS) and Postfix's smtp-source.
# Idempotent. As root on a system with apt it installs what is missing; otherwise it says in a
# sentence what to install. No Postfix daemon is installed: smtp-source is only unpacked.
set -eu
cd "$(dirname "$0")/../.."

have_swaks() { swaks --version >/dev/null 2>&1 && perl -MNet::SSLeay -e 1 2>/dev/null; }

if ! have_swaks; then
    if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" != 0 ]; then
        echo "swaks is missing: install the packages swaks and libnet-ssleay-perl (perl Net::SSLeay)" >&2
        exit 1
    fi
    apt-get install -y --no-install-recommends swaks libnet-ssleay-perl >/dev/null ||
        { apt-get update >/dev/null && apt-get install -y --no-install-recommends swaks libnet-ssleay-perl >/dev/null; }
fi

exec deploy/tools/fetch-postfix.sh
