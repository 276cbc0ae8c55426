from __future__ import annotations

import argparse
import threading
from pathlib import Path

import pytest

from edge_agent.cli import doctor, main
from edge_agent.clock import FakeClock
from edge_agent.doctor import examine as module
from edge_agent.doctor.case import Options
from edge_agent.doctor.checks import Check
from edge_agent.doctor.examine import examine
from edge_agent.doctor.findings import Finding, State, Subject
from edge_agent.doctor.probes import agent, disk, files, timekeeping, units, users, versions
from edge_agent.doctor.probes.bounded import Bounded, Late


@pytest.fixture
def options(tmp_path):
    return Options(config=tmp_path / "agent.toml", is_default=True, socket=tmp_path / "s", offline=True)


def broken(*_args, **_more):
    raise RuntimeError("boom")


def groups(findings):
    return list(dict.fromkeys(one.check for one in findings))


def test_every_group_is_there_before_init_and_in_order(options):
    findings = examine(options, FakeClock())
    assert groups(findings) == [
        "configuration", "service", "agent", "ports", "broker", "clock", "disk", "versions"
    ]  # fmt: skip
    assert findings[0].state is State.NOTE


@pytest.mark.parametrize(
    ("place", "name", "check"),
    [
        (timekeeping, "look", "clock"),
        (disk, "look", "disk"),
        (agent, "ask", "agent"),
        (units, "of_the_agent", "service"),
        (users, "of_the_agent", "service"),
        (files, "look", "configuration"),
        (versions, "kernel_error", "versions"),
    ],
)
def test_a_check_that_crashes_is_one_finding_and_the_others_go_on(options, monkeypatch, place, name, check):
    monkeypatch.setattr(place, name, broken)
    findings = examine(options, FakeClock())
    failed = next(one for one in findings if "could not be checked" in one.seen)
    assert (failed.check, failed.state) == (check, State.SKIPPED)
    assert "RuntimeError: boom" in failed.seen
    assert len(groups(findings)) == 8


def test_a_check_that_hangs_is_left_behind():
    release = threading.Event()
    try:
        bounded = Bounded(release.wait, "test")
        with pytest.raises(Late):
            bounded.result(0.01)
        check = Check(Subject("clock", "clocks"), lambda: [_never(release)], 0.01)
        (one,) = module.result(check, Bounded(module._listed(check), "test"), 0.01)
        assert one.state is State.SKIPPED
        assert "no answer in time" in one.seen
    finally:
        release.set()


def _never(release: threading.Event) -> Finding:
    release.wait()
    raise RuntimeError("too late for anybody to hear")


def test_what_a_bounded_call_returns_or_raises_comes_through():
    assert Bounded(lambda: 7, "test").result(10) == 7
    assert Bounded(lambda: None, "test").result(10) is None
    with pytest.raises(RuntimeError, match="boom"):
        Bounded(broken, "test").result(10)


def test_wrong_options_end_with_2(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["doctor", "--no-such-option"])
    assert caught.value.code == 2


def test_the_command_to_run_again_as_root_has_the_options_that_were_given():
    options = argparse.Namespace(config=Path("/a b.toml"), socket=None, offline=True)
    assert doctor._as_root(options) == "$ sudo edge-agent doctor --config '/a b.toml' --offline"
