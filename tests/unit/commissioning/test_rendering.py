"""The written file: whatever is answered, the agent's own loader reads it back as it was answered."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings

from edge_agent.commissioning.answers import Answers, Device, Unknown
from edge_agent.commissioning.proof import proven
from edge_agent.commissioning.rendering import rendered
from edge_agent.errors import InputError
from edge_agent.model import NS, SerialLink, TcpLink, UplinkDef
from edge_agent.profiles import default_library
from tests.unit.commissioning.factory import answers, any_answers

LIBRARY = default_library()
HOSTILE = 'x"]\n[uplink]\nurl = "mqtts://evil"\r\x1b]0;owned\x07\x1b[2J\0\u2028\u202e' + "A" * 200


def text_of(one: Answers) -> str:
    return rendered(one, version="1.0.0", date="2026-11-29")


@settings(max_examples=100, deadline=None)
@given(any_answers())
def test_any_answers_load_to_what_was_answered(one):
    site = proven(text_of(one), "agent.toml", LIBRARY)
    (bus,) = site.buses
    assert (site.site, site.agent, site.uplink) == (one.site, one.agent, one.uplink)
    assert (bus.name, bus.link) == (one.bus, one.link)
    assert [(d.name, d.unit_id, d.profile) for d in bus.devices] == [
        (d.name, d.unit_id, d.profile) for d in one.devices
    ]


@settings(max_examples=100, deadline=None)
@given(any_answers())
def test_no_line_can_drive_a_terminal_and_comments_fit_one(one):
    for line in text_of(one).split("\n"):
        assert line.isprintable()
        if line.startswith("#"):
            assert len(line) <= 80


@pytest.mark.parametrize(
    "one",
    [
        answers(devices=(Device(name="meter", unit_id=1, profile="eastron/sdm630", note=HOSTILE),)),
        answers(unknown=(Unknown(unit_id=9, heard=HOSTILE),)),
    ],
    ids=["what it calls itself", "what it answers"],
)
def test_what_a_device_says_stays_a_comment(one):
    text = text_of(one)
    assert proven(text, "agent.toml", LIBRARY).uplink == one.uplink
    assert all(line.startswith("#") for line in text.splitlines() if "evil" in line or "owned" in line)


def test_control_characters_in_an_answer_are_refused_by_the_proof():
    with pytest.raises(InputError):
        proven(text_of(answers(site="plant\n")), "agent.toml", LIBRARY)
    with pytest.raises(InputError):
        proven(text_of(answers(link=SerialLink(path="/dev/\ud800"))), "agent.toml", LIBRARY)


def test_an_id_that_is_not_said_is_left_to_the_machine():
    assert "\nid =" not in text_of(answers(agent=""))


def test_every_key_that_is_offered_as_a_comment_may_be_used():
    """Each by itself: the loader takes the file without its `# `."""
    text = text_of(answers(unknown=(Unknown(unit_id=7),)))
    parts = [part for part in text.split("\n\n") if not part.startswith(("# Every device", "# Unit"))]
    offered = 0
    for part in parts:
        for line in part.splitlines():
            if re.match(r"# [a-z_0-9]+ = ", line):
                offered += 1
                proven(text.replace(line, line[2:], 1), "agent.toml", LIBRARY)
    assert offered >= 6


def test_an_unknown_unit_is_an_example_that_loads_once_its_point_is_said():
    text = text_of(answers(unknown=(Unknown(unit_id=7, heard="holding register 0 is 0x0007"),)))
    start = text.index("# [device.unit_7]")
    end = text.index("\n\n", start)
    block = text[start:end].replace("# profile", "## profile")
    used = text[:start] + re.sub(r"^# ", "", block, flags=re.MULTILINE) + text[end:]
    site = proven(used, "agent.toml", LIBRARY)
    assert [device.name for device in site.devices] == ["meter", "unit_7"]


def test_the_alarm_that_is_shown_loads_with_a_point_of_the_profile():
    text = text_of(answers())
    start = text.index("# [alarm.overvoltage]")
    end = text.index("\n\n", start)
    block = re.sub(r"^# ", "", text[start:end], flags=re.MULTILINE).replace("POINT", "v_l1")
    assert len(proven(text[:start] + block + text[end:], "agent.toml", LIBRARY).alarms) == 1


def test_a_slower_pace_is_written_as_periods():
    (bus,) = proven(text_of(answers(pace=10)), "agent.toml", LIBRARY).buses
    assert {point.poll_ns for point in bus.devices[0].points} >= {10 * NS, 50 * NS, 600 * NS}


def test_the_file_for_a_gateway_says_nothing_of_a_serial_port():
    text = text_of(answers(link=TcpLink(host="10.0.0.5"), uplink=UplinkDef(url="mqtts://b:8883")))
    assert 'tcp = "10.0.0.5:502"' in text
    assert "serial =" not in text
    assert "\nbaud" not in text
