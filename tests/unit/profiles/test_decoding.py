"""The agent's own decoding agrees with the golden vectors of every profile."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from edge_agent import kernels
from edge_agent.bus.outcomes import Block, ReadRequest, Values
from edge_agent.model import GOOD, INVALID, BusDef, MonoNs, SerialLink, Site, SpoolDef, UplinkDef, WallNs
from edge_agent.process.stage import Stage
from edge_agent.profiles import as_device
from tests.unit.profiles.test_files import FILES, profile_of


def payload(raw: tuple[int, ...], *, bits: bool) -> bytes:
    return bytes(raw) if bits else b"".join(word.to_bytes(2, "big") for word in raw)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_process_stage_decodes_the_golden_vectors(path: Path) -> None:
    profile = profile_of(path)
    device = as_device(profile, name="it", bus="line", unit_id=1)
    bus = BusDef(name="line", link=SerialLink(path="/dev/null"), devices=(device,))
    site = Site(
        site="s", agent="a", buses=(bus,), alarms=(), window_ns=60 * 10**9,
        uplink=UplinkDef(url="mqtt://localhost"), spool=SpoolDef(),
    )  # fmt: skip
    stage = Stage.build(site, 1, kernels.load("python"), MonoNs(0), WallNs(0))
    for test in profile.tests:
        index = next(i for i, point in enumerate(site.points) if point.name == test.point)
        point = site.points[index]
        request = ReadRequest(0, 1, point.area, point.address, point.words, (index,))
        data = payload(test.raw, bits=point.area.is_bits)
        stage.feed([Block(1, request, Values(data, 0), MonoNs(1), WallNs(1))])
        latest = stage.latest()[index]
        assert latest.quality == (INVALID if test.value is None else GOOD), test
        if isinstance(test.value, int | float):
            assert isinstance(latest.value, int | float)
            assert math.isclose(latest.value, test.value, rel_tol=1e-6), test
        else:
            assert latest.value == test.value, test
