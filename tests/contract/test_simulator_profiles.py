"""What the agent plans to read from a profile, the device simulated from that profile answers."""

from __future__ import annotations

import pytest

from edge_agent.bus.plan.planner import Planner
from edge_agent.bus.plan.refusals import Refusals
from edge_agent.profiles import as_device, default_library
from edge_agent.simulator import catalogue
from edge_agent.simulator.device import Memory
from edge_agent.simulator.wire import ReadPdu

LIBRARY = default_library()


@pytest.mark.parametrize("profile_id", LIBRARY.ids())
def test_every_planned_request_is_answered_with_values(profile_id: str):
    profile = LIBRARY.get(profile_id)
    described = as_device(profile, name="d", bus="b", unit_id=1)
    memory = Memory(catalogue.device_of(profile, "d", 1))
    planner = Planner(0, described, list(enumerate(described.points)))
    everything = range(len(described.points))
    for due in (everything, everything[::2], everything[::7], *([n] for n in everything)):
        for request in planner.plan(due, Refusals()).requests:
            asked = ReadPdu(area=request.area, address=request.address, count=request.count)
            assert isinstance(memory.read(asked, 0.0), bytes), f"{asked} is refused"
