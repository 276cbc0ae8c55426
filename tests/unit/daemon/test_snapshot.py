"""What the cloud is told of a bus: its figures and hints, no values and no local paths."""

from __future__ import annotations

import json

from edge_agent.bus.outcomes import BadCause, BadFrame
from edge_agent.daemon.snapshot import _bus_health
from tests.unit.bus.site import Rig, device, good, site


def test_health_carries_quality_and_hints() -> None:
    answers = iter(range(10**6))

    def answer(request):
        return BadFrame(BadCause.CRC, 11) if next(answers) % 4 == 0 else good(request)

    rig = Rig(site(device("meter", 1), device("press", 2)), answer)
    rig.run(60)
    health = json.loads(json.dumps(_bus_health(rig.worker.snapshot())))
    assert set(health) == {"name", "state", "load", "counts", "hints", "devices"}
    (hint,) = health["hints"]
    assert (hint["rule"], hint["unit"]) == ("termination", None)
    assert 50 <= hint["seconds"] <= 60
    quality = health["devices"][0]["quality"]
    assert quality["requests"] == quality["values"] + sum(quality["bad"].values())
    assert quality["bad"]["crc"] > 0
    assert quality["recent"]["requests"] > 0
    assert 5 <= quality["reply_ms"]["p50"] <= 6


def test_health_names_no_path() -> None:
    rig = Rig(site(device()))
    rig.run(1)
    assert "/dev/" in rig.worker.snapshot()["link"]
    assert "/dev/" not in json.dumps(_bus_health(rig.worker.snapshot()))
