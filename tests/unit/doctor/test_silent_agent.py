"""A device that accepts one connection only is not taken from an agent that cannot be asked."""

from __future__ import annotations

import socket

import pytest

from edge_agent.clock import SystemClock
from edge_agent.doctor import examine as module
from edge_agent.doctor.case import Options
from edge_agent.doctor.findings import State
from edge_agent.doctor.probes import agent, units
from edge_agent.doctor.running import Answer
from edge_agent.doctor.unit import Unit

CONFIG = """
[agent]
site = "plant"
[bus.line1]
tcp = "127.0.0.1:{port}"
[device.meter]
bus = "line1"
unit_id = 1
profile = "eastron/sdm630"
[uplink]
url = "mqtt://127.0.0.1:1"
"""
RUNS = Unit(load_state="loaded", active_state="active", sub_state="running")


@pytest.mark.parametrize(
    ("answer", "unit", "is_tried"),
    [
        (Answer(socket="s"), Unit(), True),
        (Answer(socket="s", is_there=True, error="no answer"), Unit(), False),
        (Answer(socket="s", is_there=True, is_forbidden=True), Unit(), False),
        (Answer(socket="s"), RUNS, False),
    ],
)
def test_it_is_tried_only_where_no_agent_may_have_it(tmp_path, monkeypatch, answer, unit, is_tried):
    monkeypatch.setattr(agent, "ask", lambda _: answer)
    monkeypatch.setattr(units, "of_the_agent", lambda: unit)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = tmp_path / "agent.toml"
        config.write_text(CONFIG.format(port=listening.getsockname()[1]))
        options = Options(config=config, is_default=False, socket=tmp_path / "s")
        found = module.examine(options, SystemClock())
        (one,) = (one for one in found if one.subject.startswith("line1: "))
        assert one.state is (State.OK if is_tried else State.SKIPPED), one
        listening.settimeout(5 if is_tried else 0.05)
        if is_tried:
            listening.accept()[0].close()
        else:
            with pytest.raises(TimeoutError):
                listening.accept()
