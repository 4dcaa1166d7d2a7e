# Writes fastavro.json beside it: transactions as fastavro 1.13 writes them, with what they say. Run it in a virtual
# environment that has fastavro when the schema changes:
#   deploy/tools/python-venv.sh avro-venv fastavro fastavro && .tools/avro-venv/bin/python crates/telemetry/tests/avro/write.py
import datetime
import decimal
import io
import json
import pathlib

import fastavro

SCHEMA = {
    "type": "record",
    "name": "Movement",
    "namespace": "com.example.bank",
    "fields": [
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["PURC", "WDRL", "DEPO"]}},
        {
            "name": "origin",
            "type": {
                "type": "record",
                "name": "Origin",
                "fields": [{"name": "region", "type": "string"}, {"name": "terminal", "type": ["null", "int"]}],
            },
        },
        {
            "name": "amount",
            "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 31, "scale": 2}],
        },
        {"name": "code", "type": "string"},
        {"name": "ms", "type": "long"},
        {"name": "previous", "type": ["null", "Kind"], "default": None},
        {"name": "tags", "type": {"type": "map", "values": {"type": "array", "items": "float"}}},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "mac", "type": {"type": "fixed", "name": "Mac", "size": 4}},
    ],
}
START = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.timezone.utc)
AMOUNTS = ["123.45", "-0.01", "0.00", "12345678901234567890123456789.99", "-99999999999999999.99"]

records = []
parsed = fastavro.parse_schema(SCHEMA)
for number, amount in enumerate(AMOUNTS):
    at = START + datetime.timedelta(milliseconds=500 + 250 * number)
    record = {
        "at": at,
        "kind": ["PURC", "WDRL", "DEPO"][number % 3],
        "origin": {"region": "CICSPRD%d" % (number % 2 + 1), "terminal": 7 + number},
        "amount": decimal.Decimal(amount),
        "code": "00" if number % 2 == 0 else "51",
        "ms": 87 + number,
        "previous": "WDRL" if number % 2 else None,
        "tags": {"a": [0.5, 1.5], "ä": []} if number else {},
        "day": at.date(),
        "mac": bytes([1, 2, 3, number]),
    }
    written = io.BytesIO()
    fastavro.schemaless_writer(written, parsed, record)
    says = {
        "at": int(at.timestamp() * 1000),
        "kind": record["kind"],
        "region": record["origin"]["region"],
        "terminal": str(record["origin"]["terminal"]),
        "amount": amount,
        "code": record["code"],
        "ms": record["ms"],
    }
    records.append({"hex": written.getvalue().hex(), "says": says})
out = pathlib.Path(__file__).with_name("fastavro.json")
out.write_text(json.dumps({"schema": json.dumps(SCHEMA), "records": records}, indent=1, ensure_ascii=False) + "\n")
