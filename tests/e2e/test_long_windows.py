"""A long window of a real agent that is killed in it, started, restarted in order, and killed no more."""

from __future__ import annotations

import time

import pytest

from edge_agent.model import NS
from edge_agent.simulator import log
from tests.e2e.oracle import SAME_TIME_NS
from tests.e2e.rig import Rig

pytestmark = pytest.mark.needs("mosquitto")

WINDOW_S = 10
SCRIPT = """
[device.a]
unit_id = 1
[device.a.point]
n = { area = "holding", address = 0, type = "u32", signal = { counter = { start = 1000 } } }
"""
CONFIG = """
[agent]
site = "e2e"
id = "gateway"
[bus.line]
serial = "{line}"
baud = 115200
[device.a]
bus = "line"
unit_id = 1
[device.a.point]
n = { area = "holding", address = 0, type = "u32", poll = "100ms" }
[summary]
window = "10s"
checkpoint = "1s"
[uplink]
url = "{url}"
[spool]
path = "{spool}"
commit = "200ms"
"""


@pytest.mark.timeout(120)
def test_a_window_through_a_kill_and_a_restart_arrives_once_and_whole(tmp_path) -> None:
    with Rig(tmp_path, scripts={"line": SCRIPT}, config=CONFIG) as rig:
        _early_in_a_window()
        rig.start_agent()
        rig.wait(
            lambda: all((tmp_path / "spool" / f"windows-{k}").exists() for k in (0, 1)), what="checkpoints"
        )
        rig.kill_agent()
        rig.start_agent()
        polls = len(rig.served())
        rig.wait(lambda: len(rig.served()) > polls + 20, what="polls of the second run")
        assert rig.stop_agent() == 0
        rig.start_agent()
        rig.wait(lambda: rig.of_kind("summary"), what="summary", timeout_s=3 * WINDOW_S)
        assert rig.finish()["missing"] == 0
        _judge(rig)


def _early_in_a_window() -> None:
    """So that all of it fits into one window; nothing is wrong if it does not."""
    time.sleep(max(0, WINDOW_S - time.time() % WINDOW_S) if time.time() % WINDOW_S > WINDOW_S / 3 else 0)


def _judge(rig: Rig) -> None:
    killed, stopped = rig.runs[0].ended, rig.runs[1].ended
    (device,) = rig.site.devices
    (point,) = device.points
    served = {
        s.words[0] << 16 | s.words[1]: s.t_wall for s in log.samples(rig.served(), point, device.unit_id)
    }
    gaps = [item for item in rig.of_kind("gap") if item["lost_stream"] == "summary"]
    assert [gap["reason"] for gap in gaps] == ["interrupted", "stopped"]
    summaries = rig.of_kind("summary")
    assert len({item["t0"] for item in summaries}) == len(summaries)
    for item in summaries:
        mine = [served[value] for value in range(int(item["first"]), int(item["last"]) + 1)]
        assert all(item["t0"] * NS - SAME_TIME_NS < t < item["t1"] * NS + SAME_TIME_NS for t in mine)
        lost = [t for t in mine if any(gap["t0"] * NS - SAME_TIME_NS < t < gap["t1"] * NS for gap in gaps)]
        assert len(mine) - len(lost) <= item["count"] <= len(mine)
    (through,) = [item for item in summaries if item["t0"] * NS <= killed < item["t1"] * NS]
    assert served[int(through["first"])] < killed
    assert served[int(through["last"])] > min(stopped, through["t1"] * NS) - SAME_TIME_NS
    assert through["missing"] > 0
