"""The agent as a whole, started and stopped at once: what its parts are built with."""

from __future__ import annotations

import sys
import threading
from dataclasses import replace

import pytest

from edge_agent import kernels
from edge_agent.clock import SystemClock
from edge_agent.daemon.agent import Agent, Options
from edge_agent.errors import KernelError
from edge_agent.kernels import selftest
from edge_agent.model import SpoolDef
from tests.unit.process.sites import point, site


@pytest.fixture(autouse=True)
def _switch_interval():
    before = sys.getswitchinterval()
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("chosen", [None, "", "native"])
def test_native_kernels_are_never_used_untested(tmp_path, monkeypatch, chosen) -> None:
    def fails(*_) -> None:
        raise KernelError("failed its self-test")

    monkeypatch.setattr(selftest, "ensure", fails)
    monkeypatch.delenv(kernels.MODE_VARIABLE, raising=False)
    if chosen is not None:
        monkeypatch.setenv(kernels.MODE_VARIABLE, chosen)
    made = replace(site([point()]), spool=SpoolDef(path=str(tmp_path / "spool")))
    built = Agent(made, Options(socket=tmp_path / "s"), SystemClock())
    stop = threading.Event()
    stop.set()
    assert built.run(stop) == 0
    assert built.problems == ["kernels run as plain Python: failed its self-test"]


def test_an_overloaded_bus_is_a_problem_of_an_agent_that_runs_all_the_same(tmp_path) -> None:
    made = replace(site([point(poll_ns=1_000_000)]), spool=SpoolDef(path=str(tmp_path / "spool")))
    built = Agent(made, Options(socket=tmp_path / "s"), SystemClock())
    stop = threading.Event()
    stop.set()
    assert built.run(stop) == 0
    (problem,) = [one for one in built.problems if one.startswith("bus ")]
    assert "of the line at the configured periods, max_load allows 90%: every period is stretched" in problem
    assert "poll p of " in problem
