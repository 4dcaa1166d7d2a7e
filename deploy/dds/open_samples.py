#!/usr/bin/env python3
"""Opens sealed samples with a reader key and prints what they say, one JSON object a line.

    glasshouse dds key --config node.toml --room hall --reader me --out reader.key
    .tools/dds-venv/bin/python deploy/dds/open_samples.py --key reader.key --domain 42

The file is read anew when a sample of another key epoch comes, so `glasshouse dds key --follow` beside this
keeps it going. What does not open is printed with the reason. Needs `cyclonedds` and `cryptography`.
"""
import argparse
import json
import struct
import sys
import time

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cyclonedds.core import InstanceState, Policy, Qos, ReadCondition, SampleState, ViewState, WaitSet
from cyclonedds.domain import Domain, DomainParticipant
from cyclonedds.sub import DataReader, Subscriber
from cyclonedds.topic import Topic
from cyclonedds.util import duration

import glasshouse_types as types
import spy


def field(text):
    """With its length in front."""
    encoded = text.encode()
    return struct.pack(">Q", len(encoded)) + encoded


def open_sample(key, sample):
    """The plaintext of `sample`, by a key as `glasshouse dds key` writes it."""
    sealed = bytes(sample.sealed)
    # 2, flags, epoch, sequence, salt, length of the writer's name: crates/custody/src/seal/header.rs
    version, flags, epoch, sequence, salt, length = struct.unpack_from(">BBQQ16sB", sealed)
    if version != 2:
        raise ValueError(f"sealed in form {version}, not under a key of its topic")
    header, ciphertext = sealed[: 35 + length], sealed[35 + length :]
    if flags & 1:  # the writer's signature, for those who have the ledger
        ciphertext = ciphertext[:-64]
    place_key = key["keys"].get(str(epoch))
    if place_key is None:
        raise KeyError(f"no key of epoch {epoch}")
    name = header[35:]
    derived = HKDF(SHA256(), 32, salt, b"glasshouse payload 2" + name).derive(bytes.fromhex(place_key))
    associated = field(key["topic"]) + field(key["partition"]) + field(sample.key) + header
    return ChaCha20Poly1305(derived).decrypt(struct.pack(">IQ", 0, sequence), ciphertext, associated)


def told(path, key, sample):
    """What is printed of a sample, and the key as it is now."""
    for fresh in (False, True):
        if fresh:
            with open(path, encoding="utf-8") as file:
                key = json.load(file)
        try:
            value = types.TOPICS[key["topic"]].deserialize(open_sample(key, sample))
            return {"key": sample.key, "writer": sample.writer, "opened": types.plain(value)}, key
        except InvalidTag:
            return {"key": sample.key, "refused": "not authentic"}, key
        except (KeyError, ValueError, struct.error) as error:
            reason = str(error)
    return {"key": sample.key, "refused": reason}, key


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--key", required=True, help="file that `glasshouse dds key` wrote")
    parser.add_argument("--domain", type=int, default=0)
    parser.add_argument("--tag", default="", help="discovery tag of the cluster, if it has one")
    parser.add_argument("--interface", default="127.0.0.1", help="address of the interface to use")
    parser.add_argument("--multicast", action="store_true", help="discover by multicast")
    parser.add_argument("--peer", action="append", help="host to look on; repeatable; default: the interface")
    parser.add_argument("--best-effort", action="store_true", help="for a topic configured so")
    parser.add_argument("--count", type=int, default=sys.maxsize, help="end after this many samples")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="end after this time")
    options = parser.parse_args()
    with open(options.key, encoding="utf-8") as file:
        key = json.load(file)
    domain = Domain(options.domain, spy.configuration(options))  # kept: it holds the configuration
    participant = DomainParticipant(options.domain)
    qos = spy.quality(key["topic"], options.best_effort)
    topic = Topic(participant, key["topic"], spy.SealedSample, qos=qos)
    group = Subscriber(participant, qos=Qos(Policy.Partition([key["partition"]])))
    reader = DataReader(group, topic, qos=qos)
    anything = ReadCondition(reader, SampleState.Any | ViewState.Any | InstanceState.Any)
    waits = WaitSet(participant)
    waits.attach(anything)
    end, left = time.monotonic() + options.seconds, options.count
    while left > 0 and time.monotonic() < end:
        waits.wait(duration(milliseconds=200))
        for sample in reader.take(N=64, condition=anything):
            if not isinstance(sample, spy.SealedSample):  # an instance ended
                continue
            line, key = told(options.key, key, sample)
            print(json.dumps(line), flush=True)
            left -= 1
            if left == 0:
                break
    del domain


if __name__ == "__main__":
    main()
