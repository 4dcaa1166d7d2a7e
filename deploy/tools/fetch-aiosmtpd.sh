#!/bin/sh
# Brings aiosmtpd, Python's mail server, which the benchmarks measure beside our mailbox, into
# .tools/aiosmtpd-venv of this repository. Does nothing when it is there.
set -eu
exec "$(dirname "$0")/python-venv.sh" aiosmtpd-venv aiosmtpd 'aiosmtpd>=1.4.6,<2'
