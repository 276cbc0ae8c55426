from __future__ import annotations

import sys

import pytest

from edge_agent.clock import SystemClock
from edge_agent.demo import broker, plant
from edge_agent.demo.children import Children, agent_command
from edge_agent.demo.show import Show
from edge_agent.demo.tally import Tally, compare
from edge_agent.errors import EdgeAgentError
from edge_agent.model import Area, MonoNs, WallNs
from edge_agent.profiles import load_site
from edge_agent.simulator.log import Answer, Served
from edge_agent.simulator.script import Setting, load_script


@pytest.fixture
def site(tmp_path):
    plant.write(tmp_path, "mqtt://127.0.0.1:1883", "auto")
    return load_site(tmp_path / plant.AGENT)


def strokes(number: int, t: int, answer: Answer = Answer.VALUES) -> Served:
    return Served(
        t_wall=WallNs(t), t_mono=MonoNs(t), asked=MonoNs(t), unit=2, device="press", area=Area.HOLDING,
        address=102, count=2, words=f"{number:08x}", answer=answer,
    )  # fmt: skip


def sample(value: int, quality: str = "good") -> dict[str, object]:
    return {
        "kind": "sample", "device": "press", "point": "strokes", "value": value, "quality": quality,
        "epoch": "ab", "stream": "sample", "seq": value,
    }  # fmt: skip


def test_both_files_of_the_demo_are_good(site, tmp_path) -> None:
    assert {device.name for device in site.devices} == {"meter", "press"}
    from edge_agent.profiles import default_library
    from edge_agent.simulator import catalogue

    library = default_library()
    script = load_script(
        tmp_path / plant.SIMULATOR,
        Setting(profiles=lambda id, name, unit: catalogue.device_of(library.get(id), name, unit)),
    )
    assert {(device.name, device.unit_id) for device in script.devices} == {("meter", 1), ("press", 2)}


def test_what_was_served_and_not_received_is_lost_and_the_reverse_is_foreign(site) -> None:
    tally = Tally()
    for value in (1, 2, 9):
        tally.take(sample(value))
    tally.take(sample(3, "no_reply"))
    entries = [strokes(n, n * 10) for n in (1, 2, 3, 4)] + [strokes(5, 50, Answer.BAD)]
    outcome = compare(site, entries, tally, until=WallNs(30))
    assert (outcome.served, outcome.lost, outcome.foreign) == (3, 1, 1)
    assert len(tally.records) == 4


def test_a_value_that_arrives_twice_is_foreign(site) -> None:
    tally = Tally()
    tally.take(sample(1))
    tally.take(sample(1))
    outcome = compare(site, [strokes(1, 10)], tally, until=WallNs(30))
    assert (outcome.lost, outcome.foreign) == (0, 1)


def test_raised_and_cleared_are_shown_and_counted_but_not_repeated_states() -> None:
    tally, show = Tally(), Show(colours=False)
    alarm = {
        "kind": "alarm", "name": "overpressure", "state": "active", "value": 9.123456, "severity": "critical",
        "repeated": False, "epoch": "ab", "stream": "alarm", "seq": 1,
    }  # fmt: skip
    lines: list[str] = []
    for event in (alarm, alarm | {"state": "normal", "value": None}, alarm | {"repeated": True}):
        tally.take(event)
        lines += show.lines(event)
    assert lines == [
        "  ALARM     overpressure raised at 9.1235 (critical)",
        "  ALARM     overpressure cleared (critical)",
    ]
    assert (tally.raised, tally.cleared) == (1, 1)


def test_mosquitto_is_taken_first_then_amqtt_then_the_person_is_told(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name, path=None: f"/usr/sbin/{name}" if path else None)
    assert broker.choose(tmp_path).command[0] == "/usr/sbin/mosquitto"
    monkeypatch.setattr("shutil.which", lambda name, path=None: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    chosen = broker.choose(tmp_path)
    assert "amqtt speaks only MQTT 3.1.1" in chosen.name
    assert chosen.protocol == "3.1.1"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EdgeAgentError, match="hint: apt install mosquitto"):
        broker.choose(tmp_path)


def test_no_child_is_left_behind_and_a_dead_one_is_shown_with_its_log(tmp_path) -> None:
    with pytest.raises(EdgeAgentError, match=r"late ended with status 3(.|\n)*oh dear"):  # noqa: SIM117
        with Children(tmp_path, SystemClock()) as children:
            sleeper = children.start("sleeper", (sys.executable, "-c", "import time; time.sleep(60)"))
            script = "import sys; print('oh dear', file=sys.stderr); sys.exit(3)"
            children.start("late", (sys.executable, "-c", script))
            children.wait_for_path(tmp_path / "never", 20)
    assert sleeper.poll() is not None


@pytest.mark.parametrize(
    ("original", "arguments", "started"),
    [
        (["python3", "-ISB", "/usr/bin/edge-agent", "demo"], ["/usr/bin/edge-agent", "demo"],
         ("-ISB", "/usr/bin/edge-agent")),
        (["python", "venv/bin/edge-agent", "demo", "--seconds", "2"],
         ["venv/bin/edge-agent", "demo", "--seconds", "2"], ("venv/bin/edge-agent",)),
        (["python", "-m", "edge_agent", "demo"], ["/lib/edge_agent/__main__.py", "demo"],
         ("-m", "edge_agent")),
        (["python", "-m", "pytest", "tests"], ["pytest/__main__.py", "tests"], ("-m", "edge_agent")),
        (["python", "-c", "..."], ["-c"], ("-m", "edge_agent")),
        (["python"], [""], ("-m", "edge_agent")),
    ],
)  # fmt: skip
def test_a_child_is_started_the_way_its_parent_was(original, arguments, started, monkeypatch) -> None:
    monkeypatch.setattr(sys, "orig_argv", original)
    monkeypatch.setattr(sys, "argv", arguments)
    assert agent_command("run") == (sys.executable, *started, "run")
