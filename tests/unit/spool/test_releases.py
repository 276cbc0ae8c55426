"""A spool that an earlier release left behind is read for ever: nobody loses a backlog by an update.

releases/spool-VERSION.tar.gz holds a spool as that version wrote it (unacknowledged records of every kind it
had) and expected.json with their bytes. A release whose bytes differ adds one; none is ever changed.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from edge_agent.counters import Counters
from edge_agent.records.codec import Opaque
from edge_agent.records.decode import Decoder, SampleRows, Unresolved
from edge_agent.spool import Limits, Spool, StoredRecord

RELEASES = sorted((Path(__file__).parent / "releases").glob("*.tar.gz"))


@pytest.fixture(params=RELEASES, ids=lambda path: path.name.removesuffix(".tar.gz"))
def left(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    with tarfile.open(request.param) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


def _expected(left: Path) -> dict[str, list[tuple[int, bytes]]]:
    records: Any = json.loads((left / "expected.json").read_text())["records"]
    streams = sorted({stream for stream, _, _ in records})
    return {s: [(seq, bytes.fromhex(data)) for name, seq, data in records if name == s] for s in streams}


def _all(spool: Spool, stream: str) -> list[StoredRecord]:
    found: list[StoredRecord] = []
    while portion := spool.read(stream, found[-1].position + 1 if found else 0):
        found += portion
    return found


def test_every_record_of_an_earlier_release_is_still_there_and_decodes(left: Path) -> None:
    expected = _expected(left)
    counters = Counters()
    spool = Spool(left / "spool", b"new run!", limits=Limits(min_free_bytes=0), counters=counters)
    decoder = Decoder()
    for record in (record for birth in spool.births() for record in birth.records):
        decoder.decode(bytes(record))
    for stream, records in expected.items():
        found = _all(spool, stream)
        assert [(one.seq, bytes(one.data)) for one in found] == records
        bodies = [decoder.decode(bytes(one.data)).body for one in found]
        assert not any(isinstance(body, Opaque | Unresolved) for body in bodies)
        if stream == "sample":
            assert any(isinstance(body, SampleRows) and body.rows for body in bodies)
    assert spool.take_losses() == []
    assert counters.snapshot().get("spool_quarantined", 0) == 0
    last = {stream: seq for stream, seq in spool.recovery.last.items() if seq}
    assert last == {stream: records[-1][0] for stream, records in expected.items()}


def test_the_first_release_is_among_them() -> None:
    assert "spool-0.1.0.tar.gz" in {path.name for path in RELEASES}
