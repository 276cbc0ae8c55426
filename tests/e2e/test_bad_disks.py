"""Every disk fault of `bad_disks.py`, each with an agent of its own, all at once.

Each agent lives on, says what is wrong, recovers by itself, and its account is right: every value at the
receiver once, or declared lost with the right reason. One test per fault; a failure names it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import fresh_seed
from tests.e2e.bad_disks import OLD_RECORDS, SCENARIOS, Patient, polls_made
from tests.e2e.broker_log import Acknowledged
from tests.e2e.fleet import Fleet
from tests.e2e.ledger import Ledger
from tests.e2e.verdict import Verdict
from tests.rigs import disks
from tests.rigs.relay import Relay
from tests.rigs.shim import Shim, build

pytestmark = [pytest.mark.needs("mosquitto"), pytest.mark.needs("cc"), pytest.mark.timeout(300)]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended for one agent."""

    patient: Patient
    played: Future[None]
    ledger: Ledger
    verdict: Verdict


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> Iterator[dict[str, Outcome]]:
    folder, seed = tmp_path_factory.mktemp("disks"), fresh_seed()
    with contextlib.ExitStack() as stack:
        fleet = stack.enter_context(Fleet(folder))
        # Disks are unmounted when nobody has a file open on them any more.
        patients = {name: _admit(stack, fleet, name, seed, build(folder)) for name in _possible()}
        with ThreadPoolExecutor(len(patients)) as pool:
            played = {name: pool.submit(SCENARIOS[name].play, patient) for name, patient in patients.items()}
        _compare(patients, played)
        lost = [name for name, future in played.items() if future.exception()]
        for name in lost:
            print(f"--- {name}\n{fleet.members[name].log[-3000:]}")
            fleet.members.pop(name).close()
        fleet.finish()
        ledgers = {name: fleet.ledger(name) for name in patients}
        yield {
            name: Outcome(patient, played[name], ledgers[name], _judged(patient, ledgers[name]))
            for name, patient in patients.items()
        }


def _compare(patients: dict[str, Patient], played: dict[str, Future[None]]) -> None:
    """Polls of the agent with the slow disk, as a share of those of one whose disk is well."""
    slow, well = patients["every_sync_takes_two_seconds"], patients["nothing_is_wrong"]
    if not played["every_sync_takes_two_seconds"].exception():
        begin, end = slow.seen["begin"], slow.seen["end"]
        slow.seen["polls"] = polls_made(slow.member, begin, end) / polls_made(well.member, begin, end)


def _possible() -> list[str]:
    return [name for name, scenario in SCENARIOS.items() if not (scenario.disk and disks.why_not())]


def _admit(stack: contextlib.ExitStack, fleet: Fleet, name: str, seed: int, library: Path) -> Patient:
    make = SCENARIOS[name].disk
    folder = fleet.folder / f"disk-{name}"
    folder.mkdir()
    disk = make(folder) if make else None
    if disk is not None:
        stack.callback(disk.close)
    relay = stack.enter_context(Relay(fleet.broker.port))
    shim = Shim(folder / "shim", library)
    spool = (disk.path if disk else folder) / "spool"
    shim.watch(spool)
    member = fleet.add(name, seed=seed, spool=spool, shim=shim)
    stack.callback(member.close)
    member.connect_to(f"mqtt://127.0.0.1:{relay.port}")
    return Patient(member, relay, shim, disk, seed, Acknowledged(fleet.broker))


def _judged(patient: Patient, ledger: Ledger) -> Verdict:
    """Without the values of last week: the simulator was not there."""
    since = time.time_ns() - 86400 * 10**9
    ledger.values = [value for value in ledger.values if value.t > since]
    ledger.windows = [window for window in ledger.windows if window.t0 > since]
    return patient.member.verdict(ledger)


@pytest.fixture
def outcome(outcomes, request) -> Outcome:
    found: Outcome = outcomes[request.param]
    found.played.result()
    print(found.patient.said, found.patient.seen, found.verdict.figures())
    assert not (faults := found.verdict.faults()), (len(faults), faults[:5])
    assert found.verdict.served > 50
    return found


def of(*names: str):
    """The test is of these scenarios; skipped where their disks cannot be made."""
    return pytest.mark.parametrize(
        "outcome",
        [
            pytest.param(
                name,
                marks=pytest.mark.skipif(
                    bool(SCENARIOS[name].disk and disks.why_not()), reason=disks.why_not()
                ),
            )
            for name in names
        ],
        indirect=True,
    )


@of("full_at_the_start", "no_inode_is_left", "read_only_at_the_start")
def test_a_start_without_a_disk_lives_in_memory_until_it_is_there(outcome) -> None:
    assert not outcome.verdict.losses


@of("a_sync_fails_once", "no_sync_succeeds", "nothing_can_be_written")
def test_a_disk_that_fails_costs_nothing_while_the_memory_holds(outcome) -> None:
    assert not outcome.verdict.losses


@of("full_while_running")
def test_a_full_disk_is_said_and_costs_at_most_the_oldest(outcome) -> None:
    assert set(outcome.verdict.losses) <= {"evicted"}


@of("filled_by_another_program")
def test_another_program_that_fills_the_disk_costs_the_oldest_and_it_is_declared(outcome) -> None:
    assert set(outcome.verdict.losses) == {"evicted"}
    # Never what is new: that is judged as missing above.
    assert 0 < outcome.verdict.losses["evicted"] < OLD_RECORDS * 2


@of("read_only_by_an_error")
def test_a_file_system_that_gives_up_is_said_and_what_it_cost_is_declared(outcome) -> None:
    if not outcome.patient.said:
        pytest.skip("this kernel's ext4 has no trigger_fs_error")
    assert not outcome.verdict.losses


@of("rotten")
def test_flipped_bits_cost_the_records_they_hit_and_those_are_declared(outcome) -> None:
    assert set(outcome.verdict.losses) <= {"corrupt"}
    assert outcome.verdict.in_gaps > 0


@of("truncated")
def test_what_a_torn_file_held_is_declared(outcome) -> None:
    assert set(outcome.verdict.losses) <= {"corrupt"}
    assert outcome.verdict.in_gaps > 0


@of("nothing_is_wrong")
def test_an_agent_whose_disk_is_well_is_not_touched(outcome) -> None:
    assert not outcome.verdict.losses


@of("every_sync_takes_two_seconds")
def test_a_slow_disk_holds_up_no_poll_no_queue_and_no_alarm(outcome) -> None:
    """An alarm that comes while others are synced waits for the one fdatasync that runs."""
    assert outcome.patient.seen["waited for"] <= 1
    # As many as an agent whose disk is well: the machine may be busy.
    assert outcome.patient.seen["polls"] >= 0.9
    assert outcome.patient.seen["dropped"] == 0
    assert not outcome.verdict.losses


@of("stands_still_for_ten_seconds")
def test_an_agent_that_stood_still_goes_on_without_a_burst(outcome) -> None:
    """What was missed is missing: asked again it would be eleven times the polls of that second. Two times
    are retries of what the machine was too busy for."""
    assert outcome.patient.seen["first second"] <= 3
    assert not outcome.verdict.losses


def test_every_scenario_is_judged() -> None:
    judged = {
        param.values[0]
        for test in globals().values()
        for mark in getattr(test, "pytestmark", [])
        if mark.name == "parametrize"
        for param in mark.args[1]
    }
    assert judged == set(SCENARIOS)
