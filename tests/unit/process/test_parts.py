"""The small parts: plans and tables that keep the kernels inside their rows, silence, texts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.bus.outcomes import (
    BadCause,
    BadFrame,
    DeviceException,
    NoReply,
    Outcome,
    PortDown,
    ReadRequest,
    Values,
)
from edge_agent.kernels import layout
from edge_agent.model import NS, Area, Lowpass, Median, Order, PointType, Send
from edge_agent.process import tables
from edge_agent.process.plans import Plans
from edge_agent.process.silent import POLLS, Silence
from edge_agent.process.texts import decode_text
from tests.unit.process.sites import alarm, point, site

# --- plans ------------------------------------------------------------------------------------


def plans() -> Plans:
    points = (point(address=10), point("q", address=14, type=PointType.U16))
    return Plans(points, (Send.SUMMARY, Send.SAMPLES))


@pytest.mark.parametrize(
    ("area", "address", "count"),
    [
        (Area.HOLDING, 11, 4),
        (Area.HOLDING, 10, 3),
        (Area.HOLDING, 0, 10),
        (Area.HOLDING, 14, 1),
        (Area.INPUT, 10, 4),
    ],
)
def test_a_request_that_does_not_hold_its_point_is_refused(area: Area, address: int, count: int):
    with pytest.raises(ValueError, match=r"d\.p is not inside"):
        plans().of(ReadRequest(0, 1, area, address, count, (0,)))


def test_a_request_that_lists_a_point_twice_is_refused():
    with pytest.raises(ValueError, match="twice"):
        plans().of(ReadRequest(0, 1, Area.HOLDING, 10, 4, (0, 0)))


def test_a_plan_is_made_once_and_says_what_a_reply_must_have():
    made = plans()
    plan = made.of(ReadRequest(0, 1, Area.HOLDING, 10, 5, (0, 1)))
    assert made.of(ReadRequest(0, 1, Area.HOLDING, 10, 5, (0, 1))) is plan
    assert (plan.least_bytes, plan.count, plan.senders) == (10, 2, (1,))


def test_bits_need_a_byte_for_eight():
    made = Plans([point(area=Area.COIL, type=PointType.BOOL)], [Send.SUMMARY])
    for count, least in [(1, 1), (8, 1), (9, 2), (2000, 250)]:
        assert made.of(ReadRequest(0, 1, Area.COIL, 0, count, (0,))).least_bytes == least


def test_the_number_of_plans_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("edge_agent.process.plans._PLANS_MOST", 3)
    made = plans()
    for count in range(4, 20):
        made.of(ReadRequest(0, 1, Area.HOLDING, 10, count, (0,)))
        assert len(made._plans) <= 3


# --- tables -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"filters": (Median(samples=0),)},
        {"filters": (Median(samples=16),)},
        {"filters": (Lowpass(tau_ns=0),)},
        {"bits": (-1, 1)},
        {"bits": (0, 0)},
        {"bits": (60, 5)},
    ],
)
def test_numbers_that_would_lead_a_kernel_out_of_its_rows_are_refused(change: dict[str, Any]):
    with pytest.raises(ValueError, match=r"d\.p: "):
        tables.build(site([point(**change)]))


def test_an_empty_site_has_tables():
    assert tables.build(site([])).alarm_cells == ()


def test_no_two_things_share_a_row():
    points = [
        point(
            f"p{i}",
            address=4 * i,
            filters=(Median(samples=3), Lowpass(tau_ns=NS))[: i % 3],
            invalid=tuple(range(i * 9)),
        )
        for i in range(6)
    ]
    built = tables.build(site(points, [alarm(f"a{i}", point=f"p{i % 4}") for i in range(9)]))

    taken = [range(i * layout.ROW, (i + 1) * layout.ROW) for i in range(6)]
    taken += [range(cell, cell + layout.ROW) for cell in built.alarm_cells]
    for index, p in enumerate(points):
        at = index * layout.ROW
        first = built.config_i[at + layout.FILTER_AT]
        taken.append(range(first, first + len(p.filters) * layout.ROW))
        invalid = built.config_i[at + layout.INVALID_AT]
        taken.append(range(invalid, invalid + len(p.invalid)))
    cells = [cell for part in taken for cell in part]
    assert len(cells) == len(set(cells))
    assert max(cells) < len(built.config_i) == len(built.config_f) == len(built.state_i) == len(built.state_f)


# --- silence ----------------------------------------------------------------------------------

# A gateway says with 10 and 11 that the device behind it does not answer.
DEAF: list[Outcome] = [
    *(NoReply(), BadFrame(BadCause.CRC, 9), PortDown("missing")),
    *(DeviceException(10, 0), DeviceException(11, 0)),
]
ALIVE: list[Outcome] = [Values(b"", 0), DeviceException(2, 0), DeviceException(4, 0)]


@pytest.mark.parametrize("outcome", DEAF)
@pytest.mark.parametrize(
    ("failures", "active", "after", "said"),
    [
        (0, False, (1, False), False),
        (POLLS - 1, False, (POLLS, True), True),
        (POLLS, True, (POLLS, True), False),
    ],
)
def test_every_state_at_a_poll_without_a_valid_frame(
    outcome: Outcome, failures: int, active: bool, after: tuple[int, bool], said: bool
):
    silence = Silence(failures, active)
    assert silence.hear(outcome) is said
    assert (silence.failures, silence.active) == after


@pytest.mark.parametrize("outcome", ALIVE)
@pytest.mark.parametrize(("failures", "active"), [(0, False), (POLLS - 1, False), (POLLS, True)])
def test_every_state_at_a_valid_frame(outcome: Outcome, failures: int, active: bool):
    silence = Silence(failures, active)
    assert silence.hear(outcome) is active
    assert (silence.failures, silence.active) == (0, False)


# --- texts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "order", "text"),
    [
        (b"SDM630\0\0", Order.ABCD, "SDM630"),
        (b"  x ", Order.ABCD, "x"),
        (b"DS6M03\0\0", Order.BADC, "SDM630"),
        (b"SDM630\0\0", Order.CDAB, "SDM630"),
        (b"\0\0\0\0", Order.ABCD, ""),
        (b"A\0BC", Order.ABCD, "A"),
        ("°C".encode() + b" ", Order.ABCD, "°C"),
        (b"\xff\xfe", Order.ABCD, "\ufffd\ufffd"),
        (b"\x1b[2J\x07x", Order.ABCD, "\ufffd[2J\ufffdx"),
    ],
)
def test_texts(data: bytes, order: Order, text: str):
    assert decode_text(data, order) == text


@given(data=st.binary(max_size=60).filter(lambda b: len(b) % 2 == 0), order=st.sampled_from(Order))
def test_no_bytes_reach_a_terminal_as_control_characters(data: bytes, order: Order):
    assert decode_text(data, order).isprintable()
