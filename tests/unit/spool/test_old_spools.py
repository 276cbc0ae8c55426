"""Spools that earlier releases left on a disk are opened, delivered and decoded for ever."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from edge_agent.counters import Counters
from edge_agent.model import MonoNs
from edge_agent.records.decode import Decoder, Unresolved
from edge_agent.records.values import STREAMS
from edge_agent.spool import Limits, Spool
from tests.conftest import ROOT
from tests.unit.spool.rig import lost

FIXTURES = ROOT / "tests" / "fixtures"


def _open(path: Path, counters: Counters, epoch: bytes = b"\xee" * 8) -> Spool:
    return Spool(path, epoch, limits=Limits(max_bytes=2 << 20, min_free_bytes=0), counters=counters)


@pytest.mark.parametrize("release", ["0.1.0"])
def test_a_spool_of_an_earlier_release_is_delivered_whole_and_decodes(release: str, tmp_path: Path) -> None:
    folder = FIXTURES / f"spool-{release}"
    expected: dict[str, Any] = json.loads((folder / "expected.json").read_text())
    shutil.copytree(folder / "spool", tmp_path / "spool")
    counters = Counters()
    spool = _open(tmp_path / "spool", counters)
    decoder = Decoder()
    for birth in spool.births():
        for part in birth.records:
            decoder.decode(part)
    found = {}
    for stream in STREAMS:
        position = 0
        while records := spool.read(stream, position):
            for one in records:
                record = decoder.decode(one.data)
                assert not isinstance(record.body, Unresolved)
                digest = hashlib.sha256(one.data).hexdigest()[:16]
                found[one.epoch.hex(), stream, one.seq] = [record.envelope.kind, digest]
            position = records[-1].position + 1
    acked = {(stream, seq) for stream, last in expected["acked"].items() for seq in range(1, last + 1)}
    first = expected["records"][0][0]
    assert found == {
        (epoch, stream, seq): rest
        for epoch, stream, seq, *rest in expected["records"]
        if epoch != first or (stream, seq) not in acked
    }
    gone = expected["undeclared"]
    [loss] = spool.take_losses()
    assert (loss.epoch.hex(), loss.stream, loss.from_seq, loss.to_seq) == tuple(gone.values())
    assert lost([loss])
    assert counters.snapshot()["spool_torn_bytes"] == expected["torn_bytes"]
    assert counters.snapshot()["spool_quarantined"] == 0
    spool.close(MonoNs(0))


def test_the_next_run_writes_behind_an_old_spool_and_is_found_again(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "spool-0.1.0" / "spool", tmp_path / "spool")
    spool = _open(tmp_path / "spool", Counters())
    before = {stream: spool.unacked(stream) for stream in STREAMS}
    spool.close(MonoNs(0))
    spool = _open(tmp_path / "spool", Counters(), b"\xef" * 8)
    assert {stream: spool.unacked(stream) for stream in STREAMS} == before
    assert spool.recovery.epoch == b"\xc3" * 8
    assert spool.recovery.last["sample"] == before["sample"][-1].last - before["sample"][-1].base
    spool.close(MonoNs(0))
