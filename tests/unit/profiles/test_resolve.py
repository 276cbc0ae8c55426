"""Configuration and profiles together: what a site really reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent import config
from edge_agent.errors import InputError
from edge_agent.model import Area, DeviceDef, Order, Send, Site
from edge_agent.profiles import Library, resolve
from edge_agent.profiles.library import packaged

S = 10**9
HEAD = """
[agent]
site = "s"
id = "a"
[bus.line1]
serial = "/dev/ttyUSB0"
[uplink]
url = "mqtt://localhost"
"""
PROFILE = """schema = 1
[profile]
id = "acme/meter"
title = "Meter"
vendor = "Acme"
models = ["M"]
category = "energy-meter"
revision = 7
status = "draft"
sources = [{ ref = "manual" }]
[link]
protocol = "modbus-rtu"
[quirks]
order = "cdab"
max_read_words = 20
turnaround = "10ms"
forbidden = [["input", 90, 99]]
invalid = { s16 = [-32768], u32 = [0xFFFFFFFF] }
[[point]]
id = "v_l#"
index = [1, 2, 3]
area = "input"
address = 0
type = "u32"
poll = "fast"
[[point]]
id = "t"
area = "holding"
address = 40
type = "s16"
order = "abcd"
[[point]]
id = "limit"
area = "holding"
address = 50
type = "u16"
role = "setting"
"""


@pytest.fixture
def library(tmp_path: Path) -> Library:
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "meter.toml").write_text(PROFILE)
    return Library([tmp_path, packaged()])


def site(text: str, library: Library) -> Site:
    return resolve(config.parse((HEAD + text).encode(), "f"), library)


def device(more: str, library: Library) -> DeviceDef:
    return site('[device.m]\nbus = "line1"\nunit_id = 1\nprofile = "acme/meter"\n' + more, library).devices[0]


def refusal(text: str, library: Library) -> str:
    with pytest.raises(InputError) as caught:
        site(text, library)
    return str(caught.value)


def test_a_profile_gives_points_quirks_and_revision(library: Library) -> None:
    made = device("", library)
    assert [point.name for point in made.points] == ["v_l1", "v_l2", "v_l3", "t"]
    assert (made.profile, made.profile_revision) == ("acme/meter", 7)
    assert (made.quirks.max_read_words, made.quirks.turnaround_ns) == (20, 10_000_000)
    assert [point.order for point in made.points] == [Order.CDAB] * 3 + [Order.ABCD]
    assert made.points[0].invalid == (0xFFFFFFFF,)
    assert made.points[3].invalid == (0x8000,)


def test_periods_say_what_the_classes_mean(library: Library) -> None:
    made = device('periods = { fast = "100ms", normal = "continuous" }\n', library)
    assert [point.poll_ns for point in made.points] == [S // 10] * 3 + [0]


def test_a_point_read_on_demand_is_polled_only_when_the_site_says_how_often(library: Library) -> None:
    made = device('[device.m.point.limit]\npoll = "10s"\n', library)
    assert [(point.name, point.poll_ns) for point in made.points][-1] == ("limit", 10 * S)
    assert "t" not in [
        point.name for point in device('[device.m.point.t]\npoll = "on_demand"\n', library).points
    ]


def test_the_site_overrides_single_keys_of_a_point(library: Library) -> None:
    text = '[device.m.point.v_l2]\npoll = "5s"\nscale = 0.5\ntitle = "Two"\n'
    text += "filter = [{ deadband = { width = 2 } }]\n"
    point = next(point for point in device(text, library).points if point.name == "v_l2")
    assert (point.poll_ns, point.scale, point.title, len(point.filters)) == (5 * S, 0.5, "Two", 1)
    assert (point.address, point.area) == (2, Area.INPUT)


def test_what_restarts_on_an_illegal_read_is_not_read_across_gaps_unless_that_is_said(
    library: Library,
) -> None:
    made = device('quirks = { on_illegal_address = "stop" }\n', library).quirks
    assert (made.max_gap_words, made.max_gap_bits) == (0, 0)
    made = device('quirks = { on_illegal_address = "stop", max_gap_words = 6 }\n', library).quirks
    assert (made.max_gap_words, made.max_gap_bits) == (6, 0)


def test_the_site_overrides_single_quirks(library: Library) -> None:
    made = device("quirks = { max_read_words = 10, fc_swap = true }\n", library)
    assert (made.quirks.max_read_words, made.quirks.turnaround_ns) == (10, 10_000_000)
    assert made.points[0].area is Area.HOLDING
    assert made.points[3].area is Area.INPUT
    assert made.quirks.forbidden == ((Area.HOLDING, 90, 99),)


def test_points_are_selected_by_pattern_and_by_being_named(library: Library) -> None:
    made = device('points = ["v_l[13]", "v_l2"]\n'.replace("[13]", "?"), library)
    assert [point.name for point in made.points] == ["v_l1", "v_l2", "v_l3"]
    made = device('points = ["v_l1"]\n[device.m.point.t]\npoll = "1s"\n', library)
    assert [point.name for point in made.points] == ["v_l1", "t"]


def test_points_of_its_own_stand_beside_those_of_the_profile(library: Library) -> None:
    made = device('[device.m.point.own]\narea = "coil"\naddress = 5\n', library)
    assert made.points[-1].name == "own"


def test_an_own_point_on_registers_of_the_profile_is_refused(library: Library) -> None:
    text = '[device.m]\nbus = "line1"\nunit_id = 1\nprofile = "acme/meter"\n'
    text += '[device.m.point.own]\narea = "input"\naddress = 3\ntype = "u16"\n'
    assert "overlaps point v_l2" in refusal(text, library)


def test_a_quirk_of_the_site_that_leaves_a_point_unreadable_is_refused(library: Library) -> None:
    text = '[device.m]\nbus = "line1"\nunit_id = 1\nprofile = "acme/meter"\nquirks.max_read_words = 1\n'
    assert "device.m: point v_l1: input 0 to 1 is too long to be read at once" in refusal(text, library)


def test_several_units_become_devices_in_their_order(library: Library) -> None:
    made = site('[device.m]\nbus = "line1"\nunit_ids = "3,1-2"\nprofile = "acme/meter"\n', library)
    assert [(one.name, one.unit_id) for one in made.devices] == [("m_3", 3), ("m_1", 1), ("m_2", 2)]
    assert len({point.key for point in made.points}) == len(made.points) == 12


def test_a_pattern_makes_one_alarm_per_device(library: Library) -> None:
    text = '[device.m]\nbus = "line1"\nunit_ids = "1-3"\nprofile = "acme/meter"\n'
    text += '[alarm.high]\npoint = "m_?.v_l1"\nabove = 250\n[alarm.one]\npoint = "m_2.t"\nbelow = 3\n'
    made = site(text, library)
    assert [(alarm.name, alarm.device) for alarm in made.alarms] == [
        ("high.m_1", "m_1"), ("high.m_2", "m_2"), ("high.m_3", "m_3"), ("one", "m_2"),
    ]  # fmt: skip


def test_an_alarm_cannot_take_the_name_of_a_silence_alarm(library: Library) -> None:
    text = '[device.m]\nbus = "line1"\nunit_id = 1\nprofile = "acme/meter"\n'
    text += text.replace("device.m", "device.silent").replace("= 1", "= 2")
    text += '[alarm.m]\npoint = "s*.v_l1"\nabove = 250\n'
    assert "makes an alarm m.silent, which is built in already" in refusal(text, library)


@pytest.mark.parametrize(
    ("point", "device_says", "summary", "sends"),
    [
        ("", "", "", Send.SUMMARY),
        ('send = "changes"\n', 'send = "samples"\n', "", Send.CHANGES),
        ("", 'send = "samples"\n', 'send = "changes"\n', Send.SAMPLES),
        ("", "", 'send = "changes"\n', Send.CHANGES),
        ('poll = "60s"\n', "", "", Send.SAMPLES),
        ('poll = "59s"\n', "", "", Send.SUMMARY),
        ('poll = "60s"\nsend = "changes"\n', "", "", Send.CHANGES),
        ('poll = "continuous"\n', "", "", Send.SUMMARY),
    ],
)
def test_what_a_point_sends(
    point: str, device_says: str, summary: str, sends: Send, library: Library
) -> None:
    text = f'[device.m.point.t]\n{point}[summary]\nwindow = "60s"\n{summary}'
    made = device(device_says + 'points = ["t"]\n' + text, library)
    assert made.points[0].send is sends


def test_text_sends_changes(library: Library) -> None:
    text = '[device.m.point.s]\narea = "input"\naddress = 20\ntype = "string"\nlength = 4\n'
    assert device(text, library).points[-1].send is Send.CHANGES


def test_a_profile_with_variants_is_refused_until_they_can_be_told_apart(
    tmp_path: Path, library: Library
) -> None:
    path = tmp_path / "acme" / "meter.toml"
    path.write_text(PROFILE + '[[variant]]\nid = "fw2"\nwhen = { firmware = ">=2" }\n')
    assert "differs by firmware" in refusal(
        '[device.m]\nbus = "line1"\nunit_id = 1\nprofile = "acme/meter"\n', library
    )


def test_problems_of_a_profile_are_told_with_those_of_the_configuration(
    tmp_path: Path, library: Library
) -> None:
    from edge_agent.profiles import load_site

    (tmp_path / "acme" / "meter.toml").write_text(PROFILE.replace("u16", "u61"))
    path = tmp_path / "agent.toml"
    path.write_text(HEAD + 'x = 1\n[device.m]\nbus = "line1"\nunit_ids = "1-9"\nprofile = "acme/meter"\n')
    with pytest.raises(InputError) as caught:
        load_site(path, library)
    assert [(Path(problem.file).name, problem.key) for problem in caught.value.problems] == [
        ("agent.toml", "uplink.x"), ("meter.toml", "point[2].type"),
    ]  # fmt: skip


def test_a_large_site_has_its_bounds(library: Library) -> None:
    text = "".join(
        f'[bus.b{bus}]\ntcp = "h{bus}"\n[device.m{bus}]\nbus = "b{bus}"\n'
        'unit_ids = "1-247"\nprofile = "eastron/sdm630"\n'
        for bus in range(3)
    )
    assert "has 28158 points in all; at most 20000 are allowed" in refusal(text, library)
