"""The types of crates/dds/idl/payload.idl for Cyclone DDS for Python: what is inside a sealed sample.

    batch = ReadingBatch.deserialize(opened)

A member's meaning stands in the IDL and in docs/dds-types.md. Run as a program it answers, for each line
`TYPE HEX` of its input, with the value as JSON and the same value encoded again: `HEX JSON`.
"""
import dataclasses
import json
import sys
from dataclasses import dataclass
from typing import Optional

import cyclonedds.idl.annotations as annotate
from cyclonedds.idl import IdlEnum, IdlStruct
from cyclonedds.idl.types import float64, int32, int64, sequence, uint32, uint64


class Severity(IdlEnum, typename="glasshouse.Severity", default="INFO"):
    INFO = 0
    WARNING = 1
    CRITICAL = 2


class Door(IdlEnum, typename="glasshouse.Door", default="MAIL"):
    MAIL = 0
    KAFKA = 1


class AlertState(IdlEnum, typename="glasshouse.AlertState", default="RAISED"):
    RAISED = 0
    CLEARED = 1


class AlertKind(IdlEnum, typename="glasshouse.AlertKind", default="ANOMALY"):
    ANOMALY = 0
    REPORTED = 1
    SILENT = 2


@dataclass
@annotate.appendable
@annotate.autoid("sequential")
class Reading(IdlStruct, typename="glasshouse.Reading"):
    name: str
    value: float64
    unit: Optional[str]


@dataclass
@annotate.appendable
@annotate.autoid("sequential")
class DeviceEvent(IdlStruct, typename="glasshouse.DeviceEvent"):
    condition: str
    severity: Severity
    text: str
    clears: bool


@dataclass
@annotate.appendable
@annotate.autoid("sequential")
class Origin(IdlStruct, typename="glasshouse.Origin"):
    door: Door
    source: str
    partition: int32
    position: int64
    part: uint32


@dataclass
@annotate.appendable
@annotate.autoid("sequential")
class Report(IdlStruct, typename="glasshouse.Report"):
    device_class: str
    device_time_ms: Optional[uint64]
    arrival_ms: uint64
    readings: sequence[Reading]
    event: Optional[DeviceEvent]
    origin: Origin


@dataclass
@annotate.appendable
@annotate.autoid("sequential")
class ReadingBatch(IdlStruct, typename="glasshouse.ReadingBatch"):
    device: str
    annotate.key("device")
    room: str
    annotate.key("room")
    reports: sequence[Report]


@dataclass
@annotate.appendable
@annotate.autoid("sequential")
class Contribution(IdlStruct, typename="glasshouse.Contribution"):
    metric: str
    share: float64


@dataclass
@annotate.appendable
@annotate.autoid("sequential")
class Score(IdlStruct, typename="glasshouse.Score"):
    device: str
    annotate.key("device")
    room: str
    at_ms: uint64
    score: float64
    because: sequence[Contribution]


@dataclass
@annotate.appendable
@annotate.autoid("sequential")
class Alert(IdlStruct, typename="glasshouse.Alert"):
    id: str
    annotate.key("id")
    device: str
    room: str
    kind: AlertKind
    severity: Severity
    state: AlertState
    at_ms: uint64
    cleared_ms: Optional[uint64]
    summary: str
    score: float64
    because: sequence[Contribution]
    condition: str
    silent_ms: uint64
    leaf: uint64


@dataclass
@annotate.appendable
@annotate.autoid("sequential")
class ModelAnnouncement(IdlStruct, typename="glasshouse.ModelAnnouncement"):
    cluster: str
    annotate.key("cluster")
    round: uint64
    digest: str
    participants: sequence[str]
    examples: uint64
    loss: float64
    leaf: uint64


@dataclass
@annotate.appendable
@annotate.autoid("sequential")
class NodeStatus(IdlStruct, typename="glasshouse.NodeStatus"):
    node: str
    annotate.key("node")
    at_ms: uint64
    version: str
    uptime_ms: uint64
    leader: str
    rooms: sequence[str]
    round: uint64
    key_epoch: uint64
    ledger_size: uint64
    published: uint64
    received: uint64
    refused: uint64
    open_alerts: uint64


# The type that each topic's samples carry.
TOPICS = {
    "glasshouse_readings": ReadingBatch,
    "glasshouse_scores": Score,
    "glasshouse_alerts": Alert,
    "glasshouse_models": ModelAnnouncement,
    "glasshouse_status": NodeStatus,
}


def encode(value):
    """XCDR2 with its header: the plaintext of a sealed sample."""
    return value.serialize(use_version_2=True)


def plain(value):
    """As JSON takes it: structures as objects, enumerators by name."""
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.name if isinstance(value, IdlEnum) else value


def main():
    types = {type_.__name__: type_ for type_ in TOPICS.values()}
    for line in sys.stdin:
        name, encoded = line.split()
        value = types[name].deserialize(bytes.fromhex(encoded))
        print(encode(value).hex(), json.dumps(plain(value)), flush=True)


if __name__ == "__main__":
    main()
