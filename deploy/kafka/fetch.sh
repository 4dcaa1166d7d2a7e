#!/bin/sh
# Brings the jars of Apache Kafka from Maven Central into a cache, once, and prints the folder.
# Needs: mvn, and a JDK 17 or newer to run the broker afterwards.
#
#   fetch.sh [VERSION]
set -eu

version=${1:-${KAFKA_VERSION:-4.1.1}}
here=$(cd "$(dirname "$0")" && pwd)
# What the pom names is what is there: another pom, another folder.
pom=$(cksum <"$here/pom.xml" | cut -d' ' -f1)
home="${GLASSHOUSE_CACHE:-$HOME/.cache/glasshouse}/kafka-$version-$pom"

if [ ! -f "$home/complete" ]; then
    for tool in mvn java; do
        command -v "$tool" >/dev/null || {
            echo "$tool is missing: run \`cargo xtask setup\`" >&2
            exit 1
        }
    done
    # Two test binaries may arrive here together: each fetches into a folder of its own, the first
    # one to finish moves it into place.
    mkdir -p "$home"
    part=$(mktemp -d "$home/part.XXXXXX")
    trap 'rm -rf "$part"' EXIT
    mvn -q -B -f "$here/pom.xml" "-Dkafka.version=$version" dependency:copy-dependencies \
        "-DoutputDirectory=$part/libs" -DincludeScope=runtime >&2
    [ -e "$home/libs" ] || mv -T "$part/libs" "$home/libs" || [ -e "$home/libs" ]
    : >"$home/complete"
fi
# It is about time only: what fails is not tried again.
[ -e "$home/warm" ] || sh "$here/warm.sh" "$home/libs" >&2 || mkdir -p "$home/warm"
echo "$home/libs"
