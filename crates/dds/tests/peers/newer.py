#!/usr/bin/env python3
"""deploy/dds/spy.py of a release to come, whose type has a field more at its end (newer.idl)."""
import pathlib
import sys
from dataclasses import dataclass

import cyclonedds.idl.annotations as annotate
from cyclonedds.idl import IdlStruct
from cyclonedds.idl.types import byte, int64, sequence, uint64

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "deploy/dds"))
import spy  # noqa: E402


@dataclass
@annotate.appendable
@annotate.autoid("sequential")
class SealedSample(IdlStruct, typename="glasshouse.SealedSample"):
    key: str
    annotate.key("key")
    writer: str
    seq: uint64
    key_epoch: uint64
    source_time_ns: int64
    sealed: sequence[byte]
    note: str = "of a newer release"


spy.SealedSample = SealedSample
spy.main()
