#!/bin/sh
# Runs one Apache Kafka node (KRaft, broker and controller in one) in the foreground until its
# standard input ends; whoever starts it and dies takes it along. A line `stop` there lets it leave in order: it gives
# its partitions to other brokers first.
#
#   run.sh LIBS DATA PORT CONTROLLER_PORT [HOST]
#
# LIBS: folder of jars (see fetch.sh); DATA: folder of logs and settings, kept between runs; HOST: the
# address it listens at, 127.0.0.1 if none is given. Settings in DATA/extra.properties have the last word
# (several brokers, TLS, SASL); words in DATA/format.args go to the formatting of the logs (users of SCRAM).
set -eu

libs=$1 data=$2 port=$3 controller=$4 host=${5:-127.0.0.1}
# One id for all: a data folder belongs to one test.
cluster=Z2xhc3Nob3VzZS10ZXN0MA

mkdir -p "$data/logs"
cat >"$data/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://$host:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://$host:$port
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=$data/logs
num.partitions=1
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=true
log.cleaner.dedupe.buffer.size=4194304
PROPERTIES
[ ! -f "$data/extra.properties" ] || cat "$data/extra.properties" >>"$data/server.properties"
format=
[ ! -f "$data/format.args" ] || format=$(cat "$data/format.args")

# -Xshare and C1 only: start-up time matters here, throughput does not. warm.sh leaves an archive of classes and a
# formatted folder beside the jars, which save half of the start.
warm="$libs/../warm"
java_options="-Xmx384m -Xms64m -Xshare:auto -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
[ ! -f "$warm/kafka.jsa" ] || java_options="$java_options -XX:SharedArchiveFile=$warm/kafka.jsa"
if [ ! -f "$data/logs/meta.properties" ]; then
    if [ -z "$format" ] && [ -f "$warm/kafka.jsa" ]; then
        cp "$warm/bootstrap.checkpoint" "$data/logs/"
        # The broker gives the folder an id of its own.
        node=$(sed -n 's/^node.id=//p' "$data/server.properties" | tail -n 1)
        sed -e "s/^node.id=.*/node.id=$node/" -e '/^directory.id=/d' "$warm/meta.properties" >"$data/logs/meta.properties"
    else
        # shellcheck disable=SC2086
        java $java_options -cp "$libs/*" kafka.tools.StorageTool format --ignore-formatted -t "$cluster" -c "$data/server.properties" $format >&2
    fi
fi
# shellcheck disable=SC2086
java $java_options -cp "$libs/*" kafka.Kafka "$data/server.properties" </dev/null >&2 &
broker=$!
# Ends the wait below when the broker is gone.
(
    while kill -0 "$broker" 2>/dev/null; do sleep 1; done
    kill $$ 2>/dev/null
) </dev/null &
watcher=$!
trap 'kill "$watcher" 2>/dev/null; kill -9 "$broker" 2>/dev/null || true' EXIT
while read -r word; do
    if [ "$word" = stop ]; then
        kill "$broker"
        wait "$broker" || true
        exit
    fi
done
