"""`edge-agent init --yes` against simulated devices and a real broker: what it finds, writes, and leaves."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.cli import main
from edge_agent.model import DeviceServerLink, Framing, Parity, SerialLink, TcpLink
from edge_agent.profiles import default_library, load_site
from edge_agent.simulator import SimulatedLine, SimulatedTcp
from edge_agent.simulator.catalogue import device_of
from tests.contract.broker import Broker
from tests.contract.bus_slaves import TcpSlave

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


def test_without_a_search_nothing_is_sent_and_what_is_said_is_written(line, config):
    """The port may be in use, and the device not there yet."""
    words = ("--port", line.path, "--no-scan", "--baud", "9600", "--format", "8E1")
    devices = ("--device", "meter=9:eastron/sdm630", "--device", "small=10:eastron/sdm120")
    assert init(config, *words, *devices, "--broker", "mqtt://127.0.0.1:1", "--site", "a") == 0
    (bus,) = load_site(config).buses
    assert isinstance(bus.link, SerialLink)
    assert (bus.link.path, bus.link.baud, bus.link.parity) == (line.path, 9600, Parity.EVEN)
    assert [(one.name, one.unit_id) for one in bus.devices] == [("meter", 9), ("small", 10)]
    assert line.log.answers.total() == 0


def test_a_device_that_is_switched_off_is_configured_when_it_is_named(line, config, capsys):
    device = ("--device", "late=4:eastron/sdm630", "--device", "main=1:eastron/sdm630")
    assert init(config, *on(line), *device, "--broker", "mqtt://127.0.0.1:1", "--site", "a") == 0
    assert "unit 4 (late) does not answer now" in capsys.readouterr().out
    assert [one.name for one in load_site(config).devices] == ["main", "late"]


def test_a_gateway_is_searched_and_its_devices_are_named(config):
    library = default_library()
    plant = [device_of(library.get("eastron/sdm630"), "meter", 5)]
    with SimulatedTcp(plant) as server:
        host, port = server.address
        words = ("--tcp", f"{host}:{port}", "--units", "4-6", "--broker", "mqtt://127.0.0.1:1", "--site", "a")
        assert init(config, *words) == 0
    (bus,) = load_site(config).buses
    assert bus.link == TcpLink(host=host, port=port)
    assert [(one.name, one.unit_id) for one in bus.devices] == [("sdm630_5", 5)]


def test_a_device_that_answers_as_everybody_is_not_configured_as_everybody(config, capsys):
    def as_anybody(request: bytes) -> bytes:
        return request[:4] + b"\0\5" + request[6:8] + b"\2\0\7"

    slave = TcpSlave(as_anybody)
    words = ("--tcp", f"127.0.0.1:{slave.port}", "--broker", "mqtt://127.0.0.1:1", "--site", "a")
    assert init(config, *words) == 2
    slave.close()
    assert "--units" in capsys.readouterr().err
    assert not config.exists()


def test_a_unit_that_nobody_knows_leaves_nothing_to_configure(line, config, capsys):
    words = ("--port", line.path, "--baud", "19200", "--format", "8N1", "--units", str(DRIVE))
    assert init(config, *words, "--broker", "mqtt://127.0.0.1:1", "--site", "a") == 2
    assert "--device NAME=UNIT:PROFILE" in capsys.readouterr().err
    assert not config.exists()


def test_a_port_that_somebody_holds_is_not_searched_and_by_whom_is_said(line, config, capsys):
    code = (
        "import os, sys; os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY); print(flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, line.path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdin is not None
        holder.stdout.readline()
        assert init(config, *on(line), "--broker", "mqtt://127.0.0.1:1", "--site", "a") == 1
        holder.stdin.write(b"\n")
        holder.stdin.flush()
    assert f"(pid {holder.pid})" in capsys.readouterr().err
    assert line.log.answers.total() == 0
    assert not config.parent.exists()


def test_a_slow_line_is_not_asked_for_more_than_it_carries(tmp_path, config, capsys):
    words = ("--port", str(tmp_path / "tty"), "--no-scan", "--baud", "1200", "--units", "1-4")
    devices = [f"--device=m{unit}={unit}:eastron/sdm630" for unit in range(1, 5)]
    assert init(config, *words, *devices, "--broker", "mqtt://127.0.0.1:1", "--site", "a") == 0
    assert "times its default" in capsys.readouterr().out
    assert main(["check", str(config)]) == 0


PORT = ("--port", "/dev/null")
NAMES = ("--site", "a", "--broker", "mqtt://127.0.0.1:1")
OFFLINE = ("--no-scan", "--units", "1", "--device", "z=1:eastron/sdm630")


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["--port", "ttyUSB0", *NAMES], "--port"),
        ([*PORT, "--tcp", "x", *NAMES], "--tcp"),
        (["--tcp", "x", "--baud", "9600", *NAMES], "--baud"),
        ([*PORT, *NAMES, "--units", "0"], "--units"),
        ([*PORT, *NAMES, "--device", "meter"], "--device"),
        ([*PORT, *NAMES, "--device", "meter=1:no/such"], "--device"),
        ([*PORT, *NAMES, "--device", "a=1", "--device", "a=2"], "--device"),
        ([*PORT, *NAMES, *OFFLINE], "--baud"),
        ([*PORT, *NAMES, *OFFLINE, "--baud", "fast"], "--baud"),
        ([*PORT, *NAMES, *OFFLINE, "--baud", "9600", "--format", "9X9"], "--format"),
        (["--tcp", "x", "--framing", "rtu", "--baud", "fast", *NAMES, *OFFLINE], "--baud"),
        ([*PORT, *NAMES, *OFFLINE, "--baud", "9600,19200"], "--baud"),
        ([*PORT, "--site", "a b", "--broker", "mqtt://127.0.0.1"], "--site"),
        ([*PORT, "--site", "a", "--broker", "mqtt://10.0.0.1"], "--insecure"),
        ([*PORT, *NAMES, "--password-file", "/x"], "--user"),
        ([*PORT, *NAMES, "--ca", "/x"], "--ca"),
        ([*PORT, "--site", "a", "--broker", "mqtts://b", "--cert", "/x"], "--key"),
    ],
)
def test_what_is_wrong_is_said_by_its_option_and_nothing_is_written(words, key, config, capsys):
    assert init(config, *words) == 2
    said = capsys.readouterr().err
    assert key in said
    assert "hint" in said or "got" in said
    assert not config.parent.exists()


def test_a_password_in_the_address_is_not_repeated(config, capsys):
    assert init(config, *PORT, "--site", "a", "--broker", "mqtts://user:geheim@broker") == 2
    said = capsys.readouterr()
    assert "--user" in said.err and "geheim" not in said.err + said.out


def test_all_that_is_missing_is_said_at_once_and_before_a_search(config, capsys):
    assert init(config) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split()[2] for line in err.splitlines() if "is missing" in line] == [
        "--port:",
        "--site:",
        "--broker:",
    ]


@pytest.mark.needs("mosquitto")
def test_the_broker_sees_a_connection_and_nothing_else(line, broker, config):
    assert init(config, *on(line), *to(broker)) == 0
    broker.kill()
    assert "Received DISCONNECT" in broker.log
    assert "Received PUBLISH" not in broker.log and "Received SUBSCRIBE" not in broker.log


def test_a_device_server_and_modbus_ascii_are_written_as_told(config, tmp_path):
    other = tmp_path / "other.toml"
    away = ("--broker", "mqtt://127.0.0.1:1", "--site", "a", "--device", "scale=3:eastron/sdm120")
    assert init(config, "--tcp", "10.0.0.5:4001", "--framing", "rtu", "--baud", "4800", *away) == 0
    assert init(other, "--port", "/dev/ttyS9", "--framing", "ascii", "--baud", "9600", *away) == 0
    links = [load_site(path).buses[0].link for path in (config, other)]
    assert links == [
        DeviceServerLink(host="10.0.0.5", port=4001, framing=Framing.RTU, baud=4800),
        SerialLink(path="/dev/ttyS9", baud=9600, data_bits=7, parity=Parity.EVEN, framing=Framing.ASCII),
    ]
