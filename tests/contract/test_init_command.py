"""`edge-agent init --yes` against simulated devices and a real broker: what it finds, writes, and leaves."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.cli import main
from edge_agent.profiles import default_library, load_site
from edge_agent.simulator import SimulatedLine
from edge_agent.simulator.catalogue import device_of
from tests.contract.broker import Broker

METER, DRIVE = 1, 3


@pytest.fixture
def line() -> Iterator[SimulatedLine]:
    """At 19200: a meter whose profile is known, and a drive that only says no."""
    library = default_library()
    plant = [
        device_of(library.get("eastron/sdm630"), "meter", METER),
        device_of(library.get("eastron/sdm120"), "drive", DRIVE),
    ]
    with SimulatedLine(plant, baud=19200, strict_baud=True) as made:
        made.faults.set("drive", "exception:code=2")
        yield made


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path) as made:
        yield made


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "etc" / "agent.toml"


def init(config: Path, *words: str) -> int:
    return main(["init", "--yes", "--config", str(config), "--no-service", *words])


def on(line: SimulatedLine, *words: str) -> tuple[str, ...]:
    return ("--port", line.path, "--baud", "19200", "--format", "8N1", "--units", "1-4", *words)


def to(broker: Broker, *words: str) -> tuple[str, ...]:
    return ("--broker", broker.url, "--site", "plant-a", "--id", "gw-1", *words)


@pytest.mark.needs("mosquitto")
def test_what_answers_is_named_by_profile_and_the_file_is_one_the_agent_takes(line, broker, config, capsys):
    assert init(config, *on(line), *to(broker)) == 0
    out = capsys.readouterr().out
    assert "It lets us in" in out
    site = load_site(config)
    assert (site.site, site.agent, site.uplink.url) == ("plant-a", "gw-1", broker.url)
    assert [(one.name, one.unit_id, one.profile) for one in site.devices] == [
        ("sdm630_1", METER, "eastron/sdm630")
    ]
    assert f"# [device.unit_{DRIVE}]" in config.read_text()
    assert stat.S_IMODE(config.stat().st_mode) == 0o640
    assert main(["check", str(config)]) == 0


@pytest.mark.needs("mosquitto")
def test_the_result_is_one_json_object(line, broker, config, capsys):
    assert init(config, *on(line), *to(broker), "--device", "main=1:eastron/sdm630", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["line"] == {"port": line.path, "baud": 19200, "format": "8N1"}
    assert [one["name"] for one in said["devices"]] == ["main"]
    assert [one["unit_id"] for one in said["left_out"]] == [DRIVE]
    assert said["broker"]["reached"] is True
    assert said["service"]["state"] == "left"


def test_a_broker_that_is_away_is_a_warning(line, config, capsys):
    words = ("--broker", "mqtt://127.0.0.1:1", "--site", "plant-a")
    assert init(config, *on(line), *words) == 0
    assert "warning" in capsys.readouterr().out
    assert load_site(config).uplink.url == "mqtt://127.0.0.1:1"


def test_a_configuration_that_is_there_is_not_touched(line, config, capsys):
    config.parent.mkdir()
    config.write_text("mine")
    assert init(config, *on(line), "--broker", "mqtt://127.0.0.1:1", "--site", "a") == 1
    assert "--force" in capsys.readouterr().err
    assert config.read_text() == "mine"


def test_with_force_the_old_one_is_kept_beside_it(line, config):
    config.parent.mkdir()
    config.write_text("mine")
    assert init(config, *on(line), "--broker", "mqtt://127.0.0.1:1", "--site", "a", "--force") == 0
    (kept,) = config.parent.glob("agent.toml.2*")
    assert kept.read_text() == "mine"
    assert load_site(config).site == "a"


def test_a_silent_line_writes_nothing(line, config, capsys):
    words = ("--port", line.path, "--baud", "9600", "--format", "8N1", "--units", "1-3")
    assert init(config, *words, "--broker", "mqtt://127.0.0.1:1", "--site", "a") == 1
    assert "nothing answers" in capsys.readouterr().err
    assert not config.parent.exists()
