#!/usr/bin/env python3
"""Looks into the data space with Cyclone DDS for Python: what any DDS tool sees.

    .tools/dds-venv/bin/python deploy/dds/spy.py --domain 42 --partition '*'

prints one JSON object per sample of a topic: key, writer, seq, key_epoch, source_time_ns and the
length of the sealed payload. What is sealed stays sealed. --publish N --key K sends N samples with
arbitrary bytes instead, to see how a node treats a stranger. Ends with Ctrl-C, after --count
samples, or after --seconds.
"""
import argparse
import json
import sys
import time
from dataclasses import dataclass

import cyclonedds.idl.annotations as annotate
from cyclonedds.core import Policy, Qos, ReadCondition, SampleState, InstanceState, ViewState, WaitSet
from cyclonedds.domain import Domain, DomainParticipant
from cyclonedds.idl import IdlStruct
from cyclonedds.idl.types import byte, int64, sequence, uint64
from cyclonedds.pub import DataWriter, Publisher
from cyclonedds.sub import DataReader, Subscriber
from cyclonedds.topic import Topic
from cyclonedds.util import duration


@dataclass
@annotate.appendable
@annotate.autoid("sequential")
class SealedSample(IdlStruct, typename="glasshouse.SealedSample"):
    """crates/dds/idl/glasshouse.idl"""

    key: str
    annotate.key("key")
    writer: str
    seq: uint64
    key_epoch: uint64
    source_time_ns: int64
    sealed: sequence[byte]


QOS = Qos(
    Policy.Reliability.Reliable(duration(seconds=1)),
    Policy.Durability.TransientLocal,
    Policy.History.KeepLast(1024),
)
BEST_EFFORT = Qos(Policy.Reliability.BestEffort, Policy.Durability.Volatile, Policy.History.KeepLast(1024))


def quality(topic, best_effort):
    """What to ask a topic for: a reader that asks for more than the writers offer gets nothing."""
    return BEST_EFFORT if best_effort or topic == "glasshouse_status" else QOS


def configuration(options):
    """The counterpart of DomainConfig: one interface, and multicast or peers by address."""
    multicast = str(options.multicast).lower()
    peers = options.peer or ([] if options.multicast else [options.interface])
    return f"""<CycloneDDS><Domain Id="{options.domain}"><General><Interfaces>
      <NetworkInterface address="{options.interface}" multicast="{multicast}"/></Interfaces>
      <AllowMulticast>{multicast}</AllowMulticast></General>
      <Discovery><Tag>{options.tag}</Tag><ParticipantIndex>auto</ParticipantIndex>
      <MaxAutoParticipantIndex>99</MaxAutoParticipantIndex>
      <Peers>{"".join(f'<Peer address="{peer}"/>' for peer in peers)}</Peers>
      </Discovery></Domain></CycloneDDS>"""


def spy(participant, topic, options):
    """Prints what arrives."""
    subscriber = Subscriber(participant, qos=Qos(Policy.Partition([options.partition])))
    reader = DataReader(subscriber, topic, qos=quality(topic.name, options.best_effort))
    anything = ReadCondition(reader, SampleState.Any | ViewState.Any | InstanceState.Any)
    waits = WaitSet(participant)
    waits.attach(anything)
    print(json.dumps({"ready": topic.name}), flush=True)
    end = time.monotonic() + options.seconds
    left = options.count
    while left > 0 and time.monotonic() < end:
        waits.wait(duration(milliseconds=200))
        for sample in reader.take(N=64, condition=anything):
            if not isinstance(sample, SealedSample):  # an instance ended
                continue
            fields = ("key", "writer", "seq", "key_epoch", "source_time_ns")
            line = {field: getattr(sample, field) for field in fields}
            line["sealed_bytes"] = len(sample.sealed)
            print(json.dumps(line), flush=True)
            left -= 1
            if left == 0:
                break


def publish(participant, topic, options):
    """Writes samples of one key and stays until its standard input closes."""
    publisher = Publisher(participant, qos=Qos(Policy.Partition([options.partition])))
    retained = Policy.DurabilityService(0, Policy.History.KeepLast(1024), -1, -1, -1)
    qos = quality(topic.name, options.best_effort)
    if qos is QOS:
        qos = Qos(*QOS, retained)
    writer = DataWriter(publisher, topic, qos=qos)
    for number in range(1, options.publish + 1):
        writer.write(SealedSample(options.key, "spy.py", number, 0, time.time_ns(), list(b"not sealed %d" % number)))
    print(json.dumps({"published": options.publish}), flush=True)
    sys.stdin.read()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--domain", type=int, default=0)
    parser.add_argument("--tag", default="", help="discovery tag of the cluster, if it has one")
    parser.add_argument("--interface", default="127.0.0.1", help="address of the interface to use")
    parser.add_argument("--multicast", action="store_true", help="discover by multicast")
    parser.add_argument("--peer", action="append", help="host to look on; repeatable; default without multicast: the interface")
    parser.add_argument("--topic", default="glasshouse_readings")
    parser.add_argument("--partition", default="*", help="a room, or a pattern with * and ?")
    parser.add_argument("--best-effort", action="store_true", help="for a topic configured so")
    parser.add_argument("--count", type=int, default=sys.maxsize, help="end after this many samples")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="end after this time")
    parser.add_argument("--publish", type=int, default=0, metavar="N", help="publish N samples instead")
    parser.add_argument("--key", default="stranger", help="key to publish under")
    options = parser.parse_args()
    domain = Domain(options.domain, configuration(options))  # kept: it holds the configuration
    participant = DomainParticipant(options.domain)
    qos = quality(options.topic, options.best_effort)
    topic = Topic(participant, options.topic, SealedSample, qos=qos)
    try:
        (publish if options.publish else spy)(participant, topic, options)
    except KeyboardInterrupt:
        pass
    del domain


if __name__ == "__main__":
    main()
