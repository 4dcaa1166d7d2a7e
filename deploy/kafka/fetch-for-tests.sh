#!/bin/sh
# Brings every version of Apache Kafka that tests run against: the default of fetch.sh, and the last one
# before 4.0 (crates/broker/src/apache.rs names it, too).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
sh "$here/fetch.sh" 3.9.1
sh "$here/fetch.sh"
