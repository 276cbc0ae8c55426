"""The agent as a whole, started and stopped at once: what its parts are built with."""

from __future__ import annotations

import json
import os
import sys
import threading
from dataclasses import replace

import pytest

from edge_agent import kernels
from edge_agent.cli import main
from edge_agent.clock import SystemClock
from edge_agent.counters import Counters
from edge_agent.daemon.agent import Agent, Options
from edge_agent.errors import KernelError
from edge_agent.kernels import selftest
from edge_agent.model import NS, MonoNs, Send, SpoolDef
from edge_agent.records import codec
from edge_agent.records.events import Audit, Gap
from edge_agent.spool import Limits, Spool
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


def test_a_purge_goes_through_the_running_agent_and_is_declared_and_recorded(tmp_path, capsys) -> None:
    path = tmp_path / "spool"
    made = replace(site([point(send=Send.SAMPLES)]), spool=SpoolDef(path=str(path), commit_ns=NS // 50))
    socket, stop = tmp_path / "status.sock", threading.Event()
    agent = Agent(made, Options(socket=socket), SystemClock())
    thread = threading.Thread(target=agent.run, args=(stop,))
    thread.start()
    try:
        order = ["spool", "purge", "--path", str(path), "--socket", str(socket), "--yes", "--json"]
        # Only once it listens, which it does before `run`.
        assert main(order) == 0
        gone = json.loads(capsys.readouterr().out)["purged"]
        assert gone["sample"] >= 1
        assert main(["spool", "status", "--socket", str(socket), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["kept_bytes"] >= 0
        assert main(["spool", "purge", "--path", str(path), "--socket", str(tmp_path / "no"), "--yes"]) == 1
    finally:
        stop.set()
        thread.join(30)
    assert main(["spool", "export", "--path", str(path), "--output", str(tmp_path / "out")]) == 0
    data, bodies = (tmp_path / "out").read_bytes(), []
    while data:
        size = int.from_bytes(data[:4])
        bodies.append(codec.decode(data[4 : 4 + size])[1])
        data = data[4 + size :]
    [audit] = [body for body in bodies if isinstance(body, Audit)]
    assert audit.what == "spool purge"
    assert audit.who.startswith(f"local uid {os.getuid()}, pid ")
    # Declared by this run, or where it was stopped too soon, by the next.
    again = Spool(path, b"\xee" * 8, limits=Limits(min_free_bytes=0), counters=Counters())
    losses = {body.loss for body in bodies if isinstance(body, Gap)} | set(again.take_losses())
    again.close(MonoNs(0))
    purged = [loss for loss in losses if loss.reason == "purged" and loss.stream == "sample"]
    assert sum(loss.count for loss in purged) == gone["sample"]
