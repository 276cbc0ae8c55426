"""The wall clock jumps under a running agent: by years, before and after it is synchronised, and back.

No poll is missed or doubled, windows stay right, every step is declared, and by what is declared each time
can be corrected. Judged by the records themselves, and by the monotonic clock, which agent and simulator
share. All agents run at once; the shim lies to each about its own clock.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

from edge_agent.model import NS, DeviceDef, PointDef
from edge_agent.records.bodies import Alarm
from edge_agent.records.decode import Decoder, Record, SampleRow, SampleRows, SummaryRow, SummaryRows
from edge_agent.records.events import ClockSet, Start
from edge_agent.simulator import log, truth
from edge_agent.simulator.encode import value_of
from tests.conftest import fresh_seed
from tests.contract.broker import Probe
from tests.e2e.fleet import Fleet, Member, wait
from tests.e2e.plant import SITE, WINDOW_S
from tests.rigs.shim import Shim, build

pytestmark = [pytest.mark.needs("mosquitto"), pytest.mark.needs("cc"), pytest.mark.timeout(300)]

YEAR = 365 * 86400 * NS
HOUR = 3600 * NS
READ_NS = NS // 2
"""From serving a value to reading it, on a busy machine; and how far a noticed step may be from the real."""


@dataclass(frozen=True, slots=True)
class Life:
    """Offsets of the wall clock, each for some seconds, and whether it is said to be synchronised then."""

    phases: tuple[tuple[int, bool], ...]

    @property
    def steps(self) -> list[int]:
        return [after[0] - before[0] for before, after in pairwise(self.phases)]


def since_1970() -> int:
    return time.time_ns() - 600 * NS


LIVES = {
    "begins_in_1970": Life(((-since_1970(), False), (0, True))),
    "years_ahead_until_it_is_set": Life(((3 * YEAR, False), (0, True))),
    "years_behind_until_it_is_set": Life(((-2 * YEAR, False), (0, True))),
    "set_wrong_by_years_after_it_was_right": Life(
        ((0, True), (-2 * YEAR, True), (0, True), (2 * YEAR, True))
    ),
    "an_hour_back": Life(((0, True), (-HOUR, True))),
    "an_hour_forth_and_back": Life(((0, True), (HOUR, True), (0, True))),
    "stays_right": Life(((0, True), (0, True))),
}
PHASE_S = 2.3
"""No whole number of windows."""


@dataclass(slots=True)
class Told:
    """What one agent published, decoded."""

    life: Life
    member: Member
    records: list[Record]
    missing: list[str]

    def of(self, kind: type) -> list[Any]:
        return [record for record in self.records if isinstance(record.body, kind)]

    @property
    def rows(self) -> list[SampleRow]:
        bodies = [record.body for record in self.records if isinstance(record.body, SampleRows)]
        return [row for body in bodies for row in body.rows]

    @property
    def windows(self) -> list[SummaryRow]:
        bodies = [record.body for record in self.records if isinstance(record.body, SummaryRows)]
        return [row for body in bodies for row in body.rows]

    def points(self) -> Iterator[tuple[DeviceDef, PointDef]]:
        for device in self.member.site.devices:
            yield from ((device, point) for point in device.points)

    def served(self, device: DeviceDef, point: PointDef) -> list[log.Sample]:
        return list(log.samples(self.member.entries(), point, device.unit_id))

    def taken(self, device: DeviceDef, point: PointDef) -> list[log.Sample]:
        """Without a reply that came while the agent was told to stop: it may or may not have it."""
        ended = self.member.lives[-1].ended
        return [sample for sample in self.served(device, point) if sample.t_wall <= ended]


def play(member: Member, life: Life) -> None:
    shim = member.shim
    assert shim is not None
    for number, (offset, synchronised) in enumerate(life.phases):
        shim.wall_offset_ns = offset
        shim.say_synchronised(synchronised)
        if number == 0:
            member.start()
            wait(member.is_up, what=f"{member.name} to read")
        time.sleep(PHASE_S)


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> dict[str, Told]:
    folder, seed = tmp_path_factory.mktemp("clocks"), fresh_seed()
    library = build(folder)
    with Fleet(folder) as fleet, Probe(fleet.broker, f"ea1/{SITE}/#") as probe:
        for name in LIVES:
            fleet.add(name, seed=seed, shim=Shim(folder / f"shim-{name}", library))
        fleet.each(lambda member: play(member, LIVES[member.name]))
        fleet.finish()
        messages = [(topic.split("/"), payload) for topic, payload, _ in probe.messages]
        return {
            name: Told(LIVES[name], member, _decoded(messages, name), fleet.ledger(name).missing)
            for name, member in fleet.members.items()
        }


def _decoded(messages: Sequence[tuple[list[str], bytes]], agent: str) -> list[Record]:
    """Each record once, in the order of the streams' numbers."""
    decoder = Decoder()
    found: dict[tuple[str, int], Record] = {}
    for (_, _, sender, _, *channel), payload in messages:
        if sender != agent or channel[0] not in ("data", "hist", "birth") or not payload:
            continue
        record = decoder.decode(payload)
        if channel[-1] in ("sample", "summary", "alarm", "event"):
            found[record.envelope.stream, record.envelope.seq] = record
    return [record for _, record in sorted(found.items(), key=lambda item: item[0])]


@pytest.fixture(params=LIVES)
def one(told, request) -> Told:
    found: Told = told[request.param]
    return found


def test_every_value_is_there_once_and_no_poll_was_missed(one, told) -> None:
    assert one.missing == []
    for device, point in one.points():
        if point.send != "samples" or point.type.is_float:
            continue
        served = one.served(device, point)
        values = Counter(value_of(point, sample.words) for sample in served)
        rows = [row for row in one.rows if _key(row.entry) == (device.name, point.name)]
        got = Counter(row.value for row in rows if row.quality == 0)
        assert got - values == Counter(), "told, but not served or served once"
        # What came too late for the agent to believe is bad.
        taken = Counter(value_of(point, sample.words) for sample in one.taken(device, point))
        assert (taken - got).total() <= len(rows) - got.total(), "served, but not told"
        # As many as under a clock that stays right: the machine may be busy.
        share = _share(served, point) / _share(told["stays_right"].served(device, point), point)
        assert 0.85 <= share <= 1.15


def _share(served: Sequence[log.Sample], point: PointDef) -> float:
    """Of the polls due from the first to the last."""
    return len(served) / (1 + (served[-1].t_mono - served[0].t_mono) / point.poll_ns)


def test_windows_hold_every_value_once(one) -> None:
    length = round(WINDOW_S * NS)
    for device, point in one.points():
        if point.send != "summary":
            continue
        windows = [row for row in one.windows if _key(row.entry) == (device.name, point.name)]
        served = one.served(device, point)
        assert all(row.t1_ns - row.t0_ns == length and row.t0_ns % length == 0 for row in windows)
        assert abs(sum(row.count + row.bad for row in windows) - len(served)) <= 2
        # A window that a step ends early holds fewer, none holds more.
        assert all(row.count <= length / point.poll_ns + 1 for row in windows)
        values = {value_of(point, sample.words) for sample in served}
        assert {row.min for row in windows} | {row.max for row in windows} <= values | {None}


def test_every_step_is_declared(one) -> None:
    """And so is that the clock is synchronised from now on."""
    declared = one.of(ClockSet)
    phases = one.life.phases
    steps = [record.envelope.t0.wall_ns - record.body.before_ns for record in declared]
    told = [step for step in steps if abs(step) > READ_NS]
    made = [step for step in one.life.steps if step]
    assert len(told) == len(made), (told, made)
    assert all(abs(step - real) <= READ_NS for step, real in zip(told, made, strict=True)), (told, made)
    # A change of what the kernel says, at most a second later, is one more where it came alone.
    changes = sum(before[1] != after[1] for before, after in pairwise(phases))
    assert len(declared) - len(told) <= changes
    (start,) = one.of(Start)
    said = [start.envelope.t0.synced, *(record.envelope.t0.synced for record in declared)]
    assert (said[0], said[-1]) == (phases[0][1], phases[-1][1])


def test_every_time_can_be_corrected_by_what_is_declared(one) -> None:
    """docs/record-format.md 3.7: to a time from before a step, add the step."""
    error = one.life.phases[-1][0]
    served = {
        (device.name, point.name, value_of(point, sample.words)): sample.t_wall
        for device, point in one.points()
        for sample in one.served(device, point)
    }
    steps = [
        (record.envelope.t0.mono_ns, record.envelope.t0.wall_ns - record.body.before_ns)
        for record in one.of(ClockSet)
    ]
    for row in one.rows:
        if row.quality != 0 or row.entry.point == "level":
            continue
        true = served[(*_key(row.entry), row.value)]
        corrected = row.wall_ns + sum(step for at, step in steps if row.mono_ns < at) - error
        if abs(corrected - true) > READ_NS:
            # A step is noticed with the next block: what was read between has the new time already.
            assert any(0 <= at - row.mono_ns <= READ_NS for at, _ in steps), (row, corrected - true)


def test_alarms_are_told_when_they_were_true(one) -> None:
    (alarm,) = one.member.site.alarms
    device, point = next((d, p) for d, p in one.points() if (d.name, p.name) == (alarm.device, alarm.point))
    expected = truth.transitions(one.served(device, point), point, alarm)
    at_least = truth.transitions(one.taken(device, point), point, alarm)
    told = [
        (record.envelope.t0.mono_ns, record.body.active)
        for record in one.of(Alarm)
        if record.body.name == "high" and not record.body.repeated
    ]
    assert len(at_least) <= len(told) <= len(expected)
    for (t, active), change in zip(told, expected, strict=False):
        assert active == change.active and abs(t - change.t_mono) <= READ_NS


def _key(entry: Any) -> tuple[str, str]:
    return entry.device, entry.point
