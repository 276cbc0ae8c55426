"""The reference configuration means what its comments say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge_agent import config
from edge_agent.config import identity
from edge_agent.errors import InputError
from edge_agent.model import (
    AlarmInput,
    AlarmKind,
    Area,
    DeviceServerLink,
    Framing,
    Lowpass,
    Median,
    Parity,
    PointType,
    Rs485,
    Send,
    SerialLink,
    Severity,
    TcpLink,
    TlsLink,
)
from edge_agent.profiles import load_site
from tests.conftest import ROOT

MS = 1_000_000
MINIMAL = """
[agent]
site = "s"
[bus.b]
tcp = "h"
[device.d]
bus = "b"
unit_id = 1
point.p = { area = "coil", address = 0 }
[uplink]
url = "mqtt://localhost"
"""


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    match = re.search(r"```toml\n(.*?)```", (ROOT / "docs" / "configuration.md").read_text(), re.DOTALL)
    assert match
    path = tmp_path / "agent.toml"
    path.write_text(match[1])
    return path


def test_the_reference_configuration_loads(reference: Path) -> None:
    site = load_site(reference)
    assert (site.site, site.agent, site.source) == ("plant-a", "press-hall-1", str(reference))
    (bus,) = site.buses
    assert bus.link == SerialLink(path="/dev/ttyUSB0", baud=19200, parity=Parity.NONE)
    assert (bus.timeout_ns, bus.max_load) == (500 * MS, 0.9)
    meter, press = bus.devices
    assert (meter.unit_id, meter.profile, meter.profile_revision, len(meter.points)) == (
        1,
        "eastron/sdm630",
        1,
        38,
    )
    assert meter.quirks.max_read_words == 50
    assert {point.poll_ns for point in meter.points} == {500 * MS, 2000 * MS, 60_000 * MS}
    (pressure,) = press.points
    assert (pressure.area, pressure.address, pressure.type) == (Area.HOLDING, 100, PointType.F32)
    assert (pressure.poll_ns, pressure.unit, pressure.send) == (100 * MS, "bar", Send.SUMMARY)
    assert pressure.filters == (Median(samples=5), Lowpass(tau_ns=500 * MS))
    (alarm,) = site.alarms
    assert (alarm.name, alarm.device, alarm.point) == ("overpressure", "press", "pressure")
    assert (alarm.kind, alarm.high, alarm.deadband) == (AlarmKind.ABOVE, 8.0, 0.2)
    assert (alarm.on_delay_ns, alarm.off_delay_ns) == (500 * MS, 2000 * MS)
    assert (alarm.input, alarm.severity) == (AlarmInput.RAW, Severity.CRITICAL)
    assert site.window_ns == 10_000 * MS
    assert (site.uplink.url, site.uplink.keepalive_s) == ("mqtt://127.0.0.1:1883", 30)
    assert (site.spool.max_bytes, site.spool.min_free_bytes, site.spool.commit_ns) == (
        512 << 20,
        64 << 20,
        1000 * MS,
    )


def test_a_point_that_is_polled_once_a_window_or_less_sends_samples(reference: Path) -> None:
    points = {point.name: point for point in load_site(reference).devices[0].points}
    assert points["v_l1"].send is Send.SUMMARY
    assert points["e_imp"].send is Send.SAMPLES


def test_a_batch_of_samples_may_last_longer_than_a_commit_interval() -> None:
    text = MINIMAL + '[samples]\nbatch = "10s"\n'
    assert config.parse(text.encode(), "f", default_id=lambda: "box-123abc").batch_ns == 10_000 * MS


def test_what_is_left_out_has_the_documented_default() -> None:
    loaded = config.parse(MINIMAL.encode(), "f", default_id=lambda: "box-123abc")
    assert loaded.agent == "box-123abc"
    assert loaded.buses[0].link == TcpLink(host="h", port=502)
    assert (loaded.buses[0].timeout_ns, loaded.buses[0].retries, loaded.buses[0].max_load) == (
        500 * MS,
        1,
        0.9,
    )
    assert loaded.window_ns == 60_000 * MS
    assert loaded.batch_ns == 0
    assert loaded.spool.path == "/var/lib/edge-agent/spool"
    assert dict(loaded.devices[0].periods) == {
        "fast": 1000 * MS, "normal": 5000 * MS, "slow": 60_000 * MS, "once": 3_600_000 * MS,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", None),
        ("rs485 = false", None),
        ("rs485 = true", Rs485()),
        ("rs485 = {}", Rs485()),
        (
            'rs485 = { rts_on_send = false, rx_during_tx = true, delay_before_send = "1ms"'
            ', delay_after_send = "0.1s" }',
            Rs485(rts_on_send=False, delay_before_send_ms=1, delay_after_send_ms=100, rx_during_tx=True),
        ),
    ],
)
def test_rs485_is_a_switch_or_a_table(line: str, expected: Rs485 | None) -> None:
    data = MINIMAL.replace('tcp = "h"', f'serial = "/dev/ttyS1"\n{line}').encode()
    (bus,) = config.parse(data, "f", default_id=lambda: "x").buses
    assert isinstance(bus.link, SerialLink)
    assert bus.link.rs485 == expected


def _link_of(text: str) -> SerialLink | TcpLink:
    return config.parse(MINIMAL.replace('tcp = "h"', text).encode(), "f").buses[0].link


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ('serial = "/dev/s"', SerialLink(path="/dev/s")),
        (
            'serial = "/dev/s"\nframing = "ascii"',
            SerialLink(path="/dev/s", data_bits=7, parity=Parity.EVEN, framing=Framing.ASCII),
        ),
        (
            'serial = "/dev/s"\nframing = "ascii"\nformat = "8N1"\nbaud = 1200',
            SerialLink(path="/dev/s", baud=1200, framing=Framing.ASCII),
        ),
        ('tcp = "h:4001"\nframing = "rtu"', DeviceServerLink(host="h", port=4001)),
        (
            'tcp = "h"\nframing = "ascii"\nbaud = 4800',
            DeviceServerLink(host="h", framing=Framing.ASCII, baud=4800),
        ),
        ('tls = "h"\nca = "/ca"', TlsLink(host="h", port=802, ca="/ca")),
        (
            'tls = "h:8802"\nca = "/ca"\ncert = "/c"\nkey = "/k"\nserver_name = "press.plant"',
            TlsLink(host="h", port=8802, ca="/ca", cert="/c", key="/k", server_name="press.plant"),
        ),
    ],
)
def test_a_bus_is_reached_by_the_link_that_is_written(text: str, link: SerialLink | TcpLink) -> None:
    assert _link_of(text) == link


def test_the_hash_of_a_configuration_is_that_of_its_bytes() -> None:
    one = config.parse(MINIMAL.encode(), "f", default_id=lambda: "x")
    other = config.parse(MINIMAL.encode() + b"#", "f", default_id=lambda: "x")
    assert len(one.sha256) == 64
    assert one.sha256 != other.sha256


def test_a_machine_without_an_id_asks_for_one() -> None:
    def none() -> str:
        raise ValueError("this machine has no /etc/machine-id to make a default from")

    with pytest.raises(InputError) as caught:
        config.parse(MINIMAL.encode(), "f", default_id=none)
    (problem,) = caught.value.problems
    assert (problem.line, problem.key) == (2, "agent.id")


@pytest.mark.parametrize(
    ("host", "level"),
    [
        ("gateway", "gateway"),
        ("Hall-1.example.com", "Hall-1"),
        ("a/b+c#d", "a-b-c-d"),
        ("", "host"),
        ("é", "-"),
    ],
)
def test_the_default_id_is_a_topic_level_and_keeps_the_machine_id_secret(host: str, level: str) -> None:
    made = identity.agent_id(host, "0123456789abcdef0123456789abcdef\n")
    # printf 0123456789abcdef0123456789abcdef | sha256sum
    assert made == f"{level}-3eb1bd"


@pytest.mark.parametrize(
    ("line", "accepted"),
    [
        ('url = "mqtt://127.8.9.1:1884"', True),
        ('url = "mqtt://[::1]"', True),
        ('url = "mqtt://127.evil.example"', False),
        ('url = "mqtt://127.0.0.1.example"', False),
        ('url = "mqtt://10.0.0.1"\ninsecure = true', True),
        ('url = "mqtts://10.0.0.1/"', True),
        ('url = "mqtts://10.0.0.1/x"', False),
        ('url = "mqtts://"', False),
        ('url = "MQTT://localhost"', False),
        ('url = "mqtts://h:0"', False),
        ('url = "mqtts://h"\nca = "/a"\ncert = "/b"\nkey = "/c"', True),
        ('url = "mqtts://h"\nkey = "/c"', False),
        ('url = "mqtts://h"\npassword_file = "/c"', False),
    ],
)
def test_a_broker_is_accepted_only_when_it_is_safe_or_said_to_be_not(line: str, accepted: bool) -> None:
    text = MINIMAL.replace('url = "mqtt://localhost"', line).encode()
    if accepted:
        config.parse(text, "f", default_id=lambda: "x")
    else:
        with pytest.raises(InputError):
            config.parse(text, "f", default_id=lambda: "x")


def test_problems_beyond_what_a_person_reads_are_counted() -> None:
    with pytest.raises(InputError) as caught:
        config.parse("\n".join(f"k{index} = 1" for index in range(500)).encode(), "f")
    assert len(caught.value.problems) == 201
    assert "304 more problems" in caught.value.problems[-1].message


def test_every_default_passes_its_own_reader() -> None:
    from edge_agent.config import keys, pointkeys
    from edge_agent.config.schema import Place, Report
    from edge_agent.config.toml import parse
    from edge_agent.profiles.keys import TABLES

    mine = (
        keys.AGENT,
        keys.BUS,
        keys.PERIODS,
        keys.DEVICE,
        keys.ALARM,
        keys.SUMMARY,
        keys.UPLINK,
        keys.SPOOL,
    )
    report = Report(parse(b"", "f"))
    for table in (*mine, pointkeys.POINT, pointkeys.QUIRKS, *TABLES):
        for name, key in table.keys.items():
            if key.default is not None and not key.required:
                key.read(Place(report, (name,)), key.default)
    report.raise_if_any()
