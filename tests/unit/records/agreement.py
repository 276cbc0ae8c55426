"""Whether `edge_agent.records` and the independent decoder say the same of a payload; payloads to ask of."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import msgpack

from edge_agent.counters import Counters
from edge_agent.errors import RecordError
from edge_agent.kernels import Kernels
from edge_agent.model import MonoNs
from edge_agent.records.values import STREAMS, Kind
from edge_agent.spool import Limits, Spool
from tests.conftest import ROOT
from tests.independent import decoder as independent
from tests.unit.records import plain_records
from tests.unit.records.documented import EXAMPLES
from tests.unit.records.plain_records import exact
from tests.unit.records.sites import EPOCH

OLD_SPOOL = ROOT / "tests" / "fixtures" / "spool-0.1.0" / "spool"
GOLDEN = json.loads((ROOT / "tests" / "unit" / "records" / "columns_golden.json").read_text())
HASH = b"h" * 8
REFUSED = "refused"


def theirs(payload: bytes) -> Any:
    try:
        record = independent.decode(payload)
    except ValueError:
        return REFUSED
    return exact({key: record[key] for key in record if key not in ("version", "name")})


def ours(payload: bytes, by: Kernels) -> Any:
    try:
        return exact(plain_records.decode(payload, by))
    except RecordError:
        return REFUSED


def agreed(payload: bytes, by: Kernels) -> Any:
    found = ours(payload, by)
    assert found == theirs(payload), payload.hex()
    return found


def is_read(payload: bytes, by: Kernels) -> None:
    assert agreed(payload, by) != REFUSED


def golden(name: str) -> bytes:
    one = GOLDEN[name]
    data, rows = bytes.fromhex(one["data"]), len(one["rows"])
    is_samples = one["kind"] == Kind.SAMPLE_COLUMNS
    body = [0, rows, one["texts"], data] if is_samples else [0, 10, rows, data]
    record = [1, one["kind"], EPOCH, "sample" if is_samples else "summary", 1, HASH, [1, 2, True], body]
    return msgpack.packb(record)


def old_records(folder: Path) -> list[bytes]:
    """Everything that the spool of release 0.1.0 still delivers."""
    shutil.copytree(OLD_SPOOL, folder / "spool")
    limits = Limits(max_bytes=2 << 20, min_free_bytes=0)
    spool = Spool(folder / "spool", b"\xee" * 8, limits=limits, counters=Counters())
    records = [part for birth in spool.births() for part in birth.records]
    for stream in STREAMS:
        position = 0
        while found := spool.read(stream, position):
            records += [one.data for one in found]
            position = found[-1].position + 1
    spool.close(MonoNs(0))
    return records


def dictionaries() -> list[bytes]:
    """The document's, the one in two parts put together."""
    births: dict[bytes, dict[int, bytes]] = {}
    for name in ("birth", "birth-first", "birth-second"):
        record = msgpack.unpackb(EXAMPLES[name])
        births.setdefault(record[5], {})[record[7]["part"]] = record[7]["data"]
    return [b"".join(parts[part] for part in sorted(parts)) for parts in births.values()]
