"""The end of `edge-agent init`: the service and its first values; and that every option is documented."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_agent import service
from edge_agent.cli import _init_broker, _init_service, _parser
from edge_agent.cli._init_broker import Names
from edge_agent.cli._init_task import CONFIG, Given
from edge_agent.clock import FakeClock
from edge_agent.commissioning.reach import Reached
from edge_agent.commissioning.terminal import Nobody
from edge_agent.daemon import status
from edge_agent.daemon.sockets import NoAgent
from edge_agent.errors import ServiceError
from edge_agent.model import UplinkDef
from tests.conftest import ROOT
from tests.unit.cli.test_view import SNAPSHOT

SOCKET = Path("/nowhere/status.sock")


class Gateway:
    """systemd and an agent that are not there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.starts = 0
        self.refuses = ""
        self.looks = 0
        self.states: Callable[[int], str] = lambda look: "up"
        monkeypatch.setattr(service, "is_managed", lambda: True)
        monkeypatch.setattr(service, "enable_now", self._start)
        monkeypatch.setattr(service, "journal", lambda: ["cannot open\x1b[2J the spool"])
        monkeypatch.setattr(status, "fetch", self._fetch)

    def _start(self) -> None:
        self.starts += 1
        if self.refuses:
            raise ServiceError(self.refuses, hint="journalctl")

    def _fetch(self, path: Path) -> dict[str, Any]:
        self.looks += 1
        state = self.states(self.looks)
        if state == "nobody":
            raise NoAgent("no agent", hint="wait", is_there=False)
        seen = copy.deepcopy(SNAPSHOT)
        for bus in seen["buses"]:
            for device in bus["devices"]:
                device["state"] = state
        return seen


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Gateway:
    return Gateway(monkeypatch)


def begin(config: Path = CONFIG, *, start: bool = True) -> tuple[_init_service.State, str]:
    out = io.StringIO()
    state = _init_service.begin(Given(config=config, tls={}), Nobody(out), SOCKET, FakeClock(), start=start)
    return state, out.getvalue()


def test_it_looks_until_every_device_answers(gateway):
    gateway.states = lambda look: "nobody" if look < 3 else "unknown" if look < 6 else "up"
    state, said = begin()
    assert (gateway.starts, gateway.looks) == (1, 6)
    assert set(state.devices.values()) == {"up"}
    assert "answers" in said and "doctor" in said


def test_a_device_that_stays_silent_is_waited_for_half_a_minute_and_named(gateway):
    gateway.states = lambda look: "down"
    state, said = begin()
    assert state.is_well and set(state.devices.values()) == {"down"}
    assert gateway.looks == 60
    assert "Not every device answers" in said


def test_a_start_that_fails_shows_the_journal_without_its_control_characters(gateway):
    gateway.refuses = "Job failed"
    state, said = begin()
    assert not state.is_well
    assert "cannot open\\x1b[2J the spool" in said
    assert "\x1b" not in said


def test_what_is_not_ours_to_start_is_left_with_the_command_to_run_it(gateway, monkeypatch):
    for state, said in (begin(start=False), begin(Path("/tmp/other.toml"))):
        assert state.word == "left" and "edge-agent run --config" in " ".join(said.split())
    monkeypatch.setattr(service, "is_managed", lambda: False)
    state, said = begin()
    assert state.word == "left" and "not run by systemd" in said
    assert gateway.starts == 0


@pytest.mark.parametrize(("runs", "suffix"), [("nobody", ""), ("up", "-init")])
def test_a_running_agent_is_not_put_out_of_its_connection(gateway, monkeypatch, runs, suffix):
    """A broker hangs up on a client when another comes with its id."""
    gateway.states = lambda look: runs
    used = []

    def reach(uplink: UplinkDef, client: str, clock: FakeClock, *, password: str) -> Reached:
        used.append(client)
        return Reached("5")

    monkeypatch.setattr(_init_broker, "reach", reach)
    names = Names(site="a", agent="", shown="gw-1")
    uplink = UplinkDef(url="mqtt://127.0.0.1")
    _init_broker.try_it(uplink, names, "", Nobody(io.StringIO()), SOCKET, FakeClock())
    assert used == [f"ea1-a-gw-1{suffix}"]


def test_every_option_is_documented():
    text = (ROOT / "docs" / "first-run.md").read_text()
    parser = _parser(["init"])
    commands = next(action for action in parser._actions if hasattr(action, "choices") and action.choices)
    assert isinstance(commands.choices, dict)
    options = [word for action in commands.choices["init"]._actions for word in action.option_strings]
    missing = [word for word in options if word.startswith("--") and f"`{word}" not in text]
    assert missing == ["--help", "--socket"]
