from __future__ import annotations

import calendar
from dataclasses import replace

import pytest

from edge_agent.doctor.findings import State
from edge_agent.doctor.timekeeping import Clocks, judge

NOW = float(calendar.timegm((2026, 11, 29, 12, 0, 0)))
GOOD = Clocks(wall_s=NOW, is_synchronised=True, rtc_s=NOW, daemons=("chrony",))


def found(clocks):
    return {one.subject: one for one in judge(clocks)}


def test_a_clock_as_it_should_be_is_ok():
    assert {one.state for one in judge(GOOD)} == {State.OK}


@pytest.mark.parametrize(
    ("date", "state"),
    [
        ((1970, 1, 1), State.FAULT),
        ((2025, 12, 31, 23, 59, 59), State.FAULT),
        ((2026, 1, 1), State.OK),
        ((2099, 12, 31, 23, 59, 59), State.OK),
        ((2100, 1, 1), State.FAULT),
    ],
)
def test_a_year_in_which_no_gateway_has_this_program_is_a_fault(date, state):
    wall = float(calendar.timegm((*date, 0, 0, 0)[:6]))
    assert found(replace(GOOD, wall_s=wall))["date"].state is state


@pytest.mark.parametrize(
    ("daemons", "in_container", "remedy"),
    [
        ((), False, "apt install systemd-timesyncd"),
        (("systemd-timesyncd",), False, "timedatectl timesync-status"),
        (("chrony",), False, "chronyc sources"),
        (("ntpsec",), False, "ntpq -p"),
        ((), True, "host"),
    ],
)
def test_an_unsynchronised_clock_has_the_remedy_for_what_runs_here(daemons, in_container, remedy):
    clocks = replace(GOOD, is_synchronised=False, daemons=daemons, in_container=in_container)
    one = found(clocks)["synchronised"]
    assert one.state is State.WARNING
    assert remedy in one.remedy


@pytest.mark.parametrize(
    ("apart", "state"),
    [(0, State.OK), (60, State.OK), (-60, State.OK), (61, State.WARNING), (-61, State.WARNING)],
)
def test_a_hardware_clock_a_minute_apart_is_a_warning(apart, state):
    assert found(replace(GOOD, rtc_s=NOW + apart))["hardware clock"].state is state


def test_the_difference_is_said_in_a_unit_that_suits_it():
    for apart, words in ((90, "90 seconds ahead"), (-7200, "2 hours behind"), (30 * 86400, "30 days ahead")):
        assert words in found(replace(GOOD, rtc_s=NOW + apart))["hardware clock"].seen


def test_without_a_hardware_clock_there_is_a_note():
    assert found(replace(GOOD, rtc_s=None))["hardware clock"].state is State.NOTE


def test_only_timesyncd_is_asked_by_timedatectl():
    for daemon in ("chrony", "ntpsec", "ntp", "ptp4l"):
        (one,) = (
            one
            for one in judge(replace(GOOD, is_synchronised=False, daemons=(daemon,)))
            if one.subject == "synchronised"
        )
        assert "timedatectl" not in one.remedy
