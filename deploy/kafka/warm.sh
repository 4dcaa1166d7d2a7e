#!/bin/sh
# Runs Apache Kafka once and keeps what makes later starts quick, in a folder `warm` beside its jars: an archive of its
# classes (JDK 13 or newer, JEP 350), and what formatting leaves. Without it everything works as well, later.
#
#   warm.sh LIBS
set -eu

libs=$1
warm="$libs/../warm"
[ ! -e "$warm" ] || exit 0
here=$(cd "$(dirname "$0")" && pwd)
part=$(mktemp -d "$libs/../part.XXXXXX")
trap 'rm -rf "$part"' EXIT
port=$(shuf -i 20000-31000 -n 1)
mkdir -p "$part/data" "$part/warm"
# Formats, writes the settings, and starts the broker for as long as its standard input is open: not at all.
sh "$here/run.sh" "$libs" "$part/data" "$port" "$((port + 1))" </dev/null >/dev/null 2>&1 || true
cp "$part/data/logs/meta.properties" "$part/data/logs/bootstrap.checkpoint" "$part/warm/"
options="-Xmx384m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dorg.slf4j.simpleLogger.defaultLogLevel=off"
# shellcheck disable=SC2086
java $options -XX:ArchiveClassesAtExit="$part/warm/kafka.jsa" -cp "$libs/*" \
    kafka.Kafka "$part/data/server.properties" </dev/null >/dev/null 2>&1 &
broker=$!
# Its own tool waits until it serves, and makes it load what a topic takes.
# shellcheck disable=SC2086
timeout 60 java $options -cp "$libs/*" org.apache.kafka.tools.TopicCommand \
    --bootstrap-server "127.0.0.1:$port" --create --topic warm --partitions 1 </dev/null >/dev/null 2>&1 || true
kill -TERM "$broker" 2>/dev/null || true
wait "$broker" || true
[ -f "$part/warm/kafka.jsa" ]
# Somebody else may have been quicker.
mv -T "$part/warm" "$warm" 2>/dev/null || [ -f "$warm/kafka.jsa" ]
