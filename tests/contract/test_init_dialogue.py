"""`edge-agent init` played through at a terminal, as a technician does."""

from __future__ import annotations

import os
import re
import signal
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.commissioning.files import password_path
from edge_agent.model import SerialLink
from edge_agent.profiles import default_library, load_site
from edge_agent.simulator import SimulatedLine
from edge_agent.simulator.catalogue import device_of
from tests.contract.broker import Broker
from tests.contract.dialogue import Dialogue

GOLDEN = Path(__file__).with_name("init_dialogue.txt")
LEAVING = {
    "Ctrl-C": ("Search the line", "Agent id", "Write"),
    "Ctrl-D": ("Port", "Name of unit 1", "Broker"),
    "kill -9": ("Profile of unit 1", "Site", "Write"),
}
PASSWORD = "Geheim ü 1"


@pytest.fixture
def line(tmp_path: Path) -> Iterator[SimulatedLine]:
    """Two meters at 19200, and a drive that only says no."""
    library = default_library()
    profiles = {"meter": (1, "eastron/sdm630"), "small": (2, "eastron/sdm120"), "drive": (7, "saia/ale3")}
    plant = [device_of(library.get(profile), name, unit) for name, (unit, profile) in profiles.items()]
    with SimulatedLine(plant, baud=19200, strict_baud=True, link=tmp_path / "tty") as made:
        made.faults.set("drive", "exception:code=1")
        yield made


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path, users={"gateway": PASSWORD}) as made:
        yield made


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "etc" / "agent.toml"


def begin(config: Path, *words: str) -> Dialogue:
    program = (sys.executable, "-m", "edge_agent", "init", "--config", str(config), "--no-service")
    return Dialogue([*program, *words])


def masked(transcript: str, **names: str) -> str:
    """What differs from run to run by what it is."""
    for name, text in names.items():
        transcript = transcript.replace(text, name)
    transcript = re.sub(r"^  \d+  /dev/tty.*\n(?:     .*\n)*", "", transcript, flags=re.MULTILINE)
    transcript = transcript.replace("  No serial port is seen: is the adapter plugged in?\n", "")
    transcript = re.sub(r"(Port \(number or path\))(?: \[\d+\])?", r"\1", transcript)
    transcript = re.sub(r"after \d+ ms", "after N ms", transcript)
    return re.sub(r"Agent id \[[^]]*\]", "Agent id [DEFAULT]", transcript)


@pytest.mark.needs("mosquitto")
def test_the_dialogue_reads_as_it_always_did(line, broker, config):
    """EDGE_AGENT_GOLDEN=1 writes it anew: look at the difference."""
    port = str(line.path)
    with begin(config, "--baud", "9600,19200", "--format", "8N1") as person:
        person.answer("Port", "COM3")
        person.answer("Port", "/dev/ttyUSB99")
        person.answer("Port", port)
        person.answer("Search the line", "1-10")
        person.answer("Take these", "n")
        person.answer("Profile of unit 1", "")
        person.answer("Name of unit 1", "Main meter")
        person.answer("Name of unit 1", "main_meter")
        person.answer("Profile of unit 2", "9")
        person.answer("Profile of unit 2", "1")
        person.answer("Name of unit 2", "main_meter")
        person.answer("Name of unit 2", "")
        person.answer("Profile of unit 7", "")
        person.answer("Site", "plant a")
        person.answer("Site", "plant-a")
        person.answer("Agent id", "gw-1")
        person.answer("Broker", broker.url)
        person.answer("User name", "gateway")
        person.answer("Password", PASSWORD)
        person.answer("Write", "")
        assert person.end() == 0
    shown = masked(person.transcript, CONFIG=str(config), BROKER=broker.url, PORT=port)
    if os.environ.get("EDGE_AGENT_GOLDEN"):
        GOLDEN.write_text(shown)
    assert shown == GOLDEN.read_text()
    assert PASSWORD not in person.transcript
    assert "\x1b" not in person.transcript

    site = load_site(config)
    assert [(one.name, one.unit_id) for one in site.devices] == [("main_meter", 1), ("sdm120_2", 2)]
    secret = password_path(config)
    assert (site.uplink.username, site.uplink.password_file) == ("gateway", str(secret))
    assert secret.read_text() == PASSWORD + "\n"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert PASSWORD not in config.read_text()


def test_every_line_of_the_dialogue_fits_eighty_columns():
    longest = max(GOLDEN.read_text().splitlines(), key=len)
    # Paths stand for longer ones, and a terminal breaks those.
    assert len(longest) < 80, longest


@pytest.mark.parametrize(
    ("how", "last"), [(how, question) for how, questions in LEAVING.items() for question in questions]
)
def test_whoever_leaves_at_a_question_leaves_nothing_behind(line, config, last, how):
    config.parent.mkdir()
    config.write_text("the old one")
    with begin(config, "--baud", "19200", "--format", "8N1", "--units", "1", "--force") as person:
        answers = {
            "Port": str(line.path),
            "Search the line": "",
            "Take these": "n",
            "Profile of unit 1": "",
            "Name of unit 1": "",
            "Site": "a",
            "Agent id": "",
            "Broker": "mqtt://127.0.0.1:1",
            "User name": "",
            "Go on all the same?": "",
        }
        for question, text in answers.items():
            if question == last:
                break
            person.answer(question, text)
        person.wait_for(last)
        if how == "kill -9":
            person.process.kill()
            assert person.end() == -signal.SIGKILL
        else:
            if how == "Ctrl-D":
                person.type("\x04")
            assert (person.leave() if how == "Ctrl-C" else person.end()) == 130
            assert "no configuration was written or changed" in person.transcript
    assert [path.read_text() for path in config.parent.iterdir()] == ["the old one"]


def test_a_broker_that_refuses_is_said_and_the_person_decides(line, config):
    words = ("--port", str(line.path), "--baud", "19200", "--format", "8N1", "--units", "1")
    with begin(config, *words, "--site", "a", "--broker", "mqtt://127.0.0.1:1") as person:
        person.answer("Search", "")
        person.answer("Take these", "")
        person.answer("Agent id", "")
        person.answer("User name", "")
        person.answer("Go on all the same?", "n")
        assert person.end() == 1
    assert "Connection refused" in person.transcript
    assert not config.exists()


def test_a_search_may_be_stopped_and_what_was_found_be_kept(line, config):
    """At 4800 nothing answers, and there are many unit ids left when the person has seen enough."""
    words = ("--port", str(line.path), "--baud", "19200,4800", "--format", "8N1")
    with begin(config, *words) as person:
        person.answer("Search", "")
        person.wait_for_text("unit 7 answers")
        person.type("\x03")
        person.answer("Go on with what was found?", "y")
        person.wait_for("Take these")
        assert person.leave() == 130
    assert not config.parent.exists()


def test_without_a_terminal_it_says_how_to_do_without_one(config, capsys, monkeypatch):
    import io

    from edge_agent.cli import main

    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))
    assert main(["init", "--config", str(config)]) == 2
    assert "--yes" in capsys.readouterr().err


def test_after_a_search_in_vain_a_person_may_type_what_is_there(line, config):
    """The speeds that were tried are no answer to which one it is."""
    words = ("--port", str(line.path), "--baud", "4800,2400", "--format", "8N1", "--units", "1")
    with begin(config, *words, "--site", "a", "--id", "b", "--broker", "mqtt://127.0.0.1:1") as person:
        person.answer("Search", "")
        person.answer("Go on with unit ids", "y")
        person.answer("Speed", "19200")
        person.answer("Unit ids", "1,2")
        person.answer("Profile of unit 1", "eastron/sdm630")
        person.answer("Name of unit 1", "")
        person.answer("Profile of unit 2", "")
        person.answer("User name", "")
        person.answer("Go on all the same", "")
        person.answer("Write", "")
        assert person.end() == 0
    assert "Nothing answers." in person.transcript
    (bus,) = load_site(config).buses
    assert isinstance(bus.link, SerialLink) and bus.link.baud == 19200
    assert [device.name for device in bus.devices] == ["sdm630_1"]
