"""Spools that earlier releases left on a disk are opened, delivered and decoded for ever: nobody loses a
backlog by an update. The one that the present code leaves is held to the same (tests/fixtures/README.md).
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from edge_agent.counters import Counters
from edge_agent.model import MonoNs
from edge_agent.records.codec import Opaque
from edge_agent.records.decode import Decoder, SampleRows, Unresolved
from edge_agent.records.values import STREAMS
from edge_agent.spool import Limits, Spool
from tests.conftest import ROOT
from tests.unit.spool.make_spool import make
from tests.unit.spool.rig import lost

RELEASES = sorted((ROOT / "tests" / "fixtures").glob("spool-*"))


@pytest.fixture(params=[*RELEASES, None], ids=lambda path: path.name if path else "present")
def left(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with a spool that may be opened, and what is expected of it."""
    folder = tmp_path / "left"
    if request.param is None:
        make(folder)
    else:
        shutil.copytree(request.param, folder)
    return folder


def _open(folder: Path, counters: Counters, epoch: bytes = b"\xee" * 8) -> Spool:
    return Spool(
        folder / "spool", epoch, limits=Limits(max_bytes=2 << 20, min_free_bytes=0), counters=counters
    )


def _expected(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "expected.json").read_text())


def test_a_spool_of_an_earlier_release_is_delivered_whole_and_decodes(left: Path) -> None:
    expected = _expected(left)
    counters = Counters()
    spool = _open(left, counters)
    decoder = Decoder()
    for birth in spool.births():
        for part in birth.records:
            decoder.decode(part)
    found = []
    bodies = []
    for stream in STREAMS:
        position = 0
        while records := spool.read(stream, position):
            for one in records:
                record = decoder.decode(one.data)
                digest = hashlib.sha256(one.data).hexdigest()[:16]
                found.append([one.epoch.hex(), stream, one.seq, record.envelope.kind, digest])
                bodies.append(record.body)
            position = records[-1].position + 1
    acked = {(stream, seq) for stream, last in expected["acked"].items() for seq in range(1, last + 1)}
    first = expected["records"][0][0]
    # Each stream in the order in which it was recorded.
    assert found == sorted(
        (one for one in expected["records"] if one[0] != first or (one[1], one[2]) not in acked),
        key=lambda one: STREAMS.index(one[1]),
    )
    assert not any(isinstance(body, Opaque | Unresolved) for body in bodies)
    assert any(isinstance(body, SampleRows) and body.rows for body in bodies)
    gone = expected["undeclared"]
    [loss] = spool.take_losses()
    assert (loss.epoch.hex(), loss.stream, loss.from_seq, loss.to_seq) == tuple(gone.values())
    assert lost([loss])
    assert counters.snapshot()["spool_torn_bytes"] == expected["torn_bytes"]
    assert counters.snapshot()["spool_quarantined"] == 0
    spool.close(MonoNs(0))


def test_the_next_run_goes_on_behind_the_last_records_of_an_earlier_release(left: Path) -> None:
    newest = _expected(left)["records"][-1][0]
    last = {stream: seq for epoch, stream, seq, *_ in _expected(left)["records"] if epoch == newest}
    spool = _open(left, Counters())
    assert spool.recovery.epoch.hex() == newest
    assert {stream: seq for stream, seq in spool.recovery.last.items() if seq} == last
    spool.close(MonoNs(0))


def test_a_spool_of_an_earlier_release_is_found_again_by_the_run_after_next(left: Path) -> None:
    spool = _open(left, Counters())
    before = {stream: spool.unacked(stream) for stream in STREAMS}
    spool.close(MonoNs(0))
    spool = _open(left, Counters(), b"\xef" * 8)
    assert {stream: spool.unacked(stream) for stream in STREAMS} == before
    assert spool.recovery.epoch.hex() == _expected(left)["records"][-1][0]
    assert spool.recovery.last["sample"] == before["sample"][-1].last - before["sample"][-1].base
    spool.close(MonoNs(0))


def test_the_first_release_is_among_them() -> None:
    assert "spool-0.1.0" in {path.name for path in RELEASES}
