"""The helper on a machine that fails and loses power: every update ends, and with a version that runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from edge_agent.clock import FakeClock
from edge_agent.update import helper as helper_module
from edge_agent.update.health import Look
from edge_agent.update.helper import Helper, Stopped
from edge_agent.update.machine import Phase, Update
from edge_agent.update.packages import Done, Installed
from edge_agent.update.store import Store
from tests.unit.update.orders import NEW, NEW_FILE, OLD, OLD_FILE, RAN, order


class PowerCut(BaseException):
    """At one act. What was written stays."""


class FakeMachine:
    """A machine with one package. `lives` says how a version behaves: `well`, `silent` (never ready), `deaf`
    (never connected), `crashes` (after five looks), `broken` (its postinst fails)."""

    def __init__(self, **lives: str) -> None:
        self.lives = {"old": "well", "new": "well", **lives}
        self.version, self.status = OLD.version, "installed"
        self.runs = True
        self.running = OLD.version
        self.looks = 0
        self.restarts = 0
        self.restarted = 0
        self.installs: list[str] = []
        self.configured = 0
        self.held = 0
        """How often the lock is refused yet."""
        self.acts = 0
        self.cut_at = -1
        """The act before whose end the power goes."""

    def _act(self) -> None:
        self.acts += 1
        if self.acts - 1 == self.cut_at:
            raise PowerCut

    def _life(self, version: str) -> str:
        return self.lives["old" if version == OLD.version else "new"]

    @contextmanager
    def dpkg_lock(self) -> Iterator[bool]:
        self.held -= 1
        yield self.held < 0

    def dpkg_lock_holder(self) -> str:
        return "apt-get (process 4711)"

    def is_interrupted(self) -> bool:
        return self.status != "installed"

    def configure_pending(self) -> Done:
        self.configured += 1
        self._act()
        if self.status == "unpacked":
            self.status = "installed"
        return Done(0, "")

    def install(self, path: Path) -> Done:
        version = OLD.version if path.read_bytes() == OLD_FILE else NEW.version
        self.installs.append(version)
        self.status = "half-installed"
        self._act()
        self.version, self.status = version, "unpacked"
        self._act()
        if self._life(version) == "broken":
            self.status = "half-configured"
            return Done(1, "dpkg: error processing package edge-agent: postinst failed")
        self.status = "installed"
        if self.runs:
            self._start()
        self._act()
        return Done(0, "Setting up edge-agent")

    def installed(self) -> Installed:
        return Installed(self.version, self.status, self.status == "installed")

    def restart(self) -> None:
        self.restarted += 1
        self._start()

    def _start(self) -> None:
        self.running, self.looks, self.restarts = self.version, 0, 0

    def look(self) -> Look:
        self._act()
        self.looks += 1
        life = self._life(self.running)
        if not self.runs:
            return Look()
        if life == "crashes" and self.looks > 5:
            self.restarts += 1
            self.looks = 0
        if life == "silent":
            return Look()
        now = replace(RAN, version=self.running, restarts=self.restarts, made=3, acked=2)
        return replace(now, connected=False, acked=0) if life == "deaf" else now

    def refusal(self, *, with_configuration: bool) -> str:
        refuses = self._life(self.version) == "refuses" and with_configuration
        return "edge-agent check: 3 problems" if refuses else ""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path)
    made.path(OLD).write_bytes(OLD_FILE)
    made.path(NEW).write_bytes(NEW_FILE)
    return made


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def updated(store: Store, machine: FakeMachine, clock: FakeClock, **changed: object) -> Update:
    store.save(order(**changed))
    ended = Helper(store, machine, clock).run()
    assert ended is not None
    return ended


def test_a_good_version_is_kept_and_the_old_one_can_be_gone_back_to(store, clock) -> None:
    machine = FakeMachine()
    began = clock.mono_ns()
    update = updated(store, machine, clock)
    assert update.phase is Phase.KEPT and update.reasons == ()
    assert (machine.version, machine.running, machine.restarted) == (NEW.version, NEW.version, 0)
    assert clock.mono_ns() - began >= 20e9, "it was watched for the whole time"
    last = store.last()
    assert last is not None and (last.installed, last.previous) == (NEW, OLD)
    assert store.load() is None


@pytest.mark.parametrize(
    ("life", "why"),
    [
        ("silent", "not active"),
        ("deaf", "uplink was connected before"),
        ("crashes", "restarted by systemd"),
        ("broken", "could not be installed"),
    ],
)
def test_a_bad_version_is_put_back_by_itself_and_the_reason_is_told(
    store, clock, life: str, why: str
) -> None:
    machine = FakeMachine(new=life)
    update = updated(store, machine, clock)
    assert update.phase is Phase.PUT_BACK
    assert any(why in reason for reason in update.reasons)
    assert (machine.version, machine.status, machine.running) == (OLD.version, "installed", OLD.version)
    last = store.last()
    assert last is not None and (last.installed, last.previous) == (OLD, None)


def test_a_crash_is_not_watched_to_the_end(store, clock) -> None:
    began = clock.mono_ns()
    updated(store, FakeMachine(new="crashes"), clock, watch_s=3600.0)
    assert clock.mono_ns() - began < 60e9


def test_when_the_old_one_does_not_run_either_that_is_said(store, clock) -> None:
    machine = FakeMachine(new="silent", old="silent")
    update = updated(store, machine, clock)
    assert update.phase is Phase.FAILED
    assert "was put back, and its service was not ready" in update.reasons[-1]
    assert machine.version == OLD.version


def test_a_service_that_did_not_run_is_not_watched(store, clock) -> None:
    machine = FakeMachine(new="silent")
    machine.runs = False
    began = clock.mono_ns()
    assert updated(store, machine, clock, before=Look()).phase is Phase.KEPT
    assert clock.mono_ns() == began


def test_a_version_that_refuses_the_configuration_is_put_back_though_nothing_ran(store, clock) -> None:
    machine = FakeMachine(new="refuses")
    machine.runs = False
    update = updated(store, machine, clock, before=Look())
    assert update.phase is Phase.PUT_BACK and update.reasons == ("edge-agent check: 3 problems",)
    assert machine.version == OLD.version


def test_a_configuration_that_was_refused_before_condemns_nobody(store, clock) -> None:
    machine = FakeMachine(new="refuses")
    machine.runs = False
    assert updated(store, machine, clock, before=Look(refused=True)).phase is Phase.KEPT


def test_a_service_that_the_package_did_not_restart_is_restarted(store, clock, monkeypatch) -> None:
    machine = FakeMachine()
    install = machine.install

    def quietly(path: Path) -> Done:
        running = machine.running
        done = install(path)
        machine.running = running
        return done

    monkeypatch.setattr(machine, "install", quietly)
    assert updated(store, machine, clock).phase is Phase.KEPT
    assert machine.restarted == 1


# --- dpkg in other hands ------------------------------------------------------------------------


def test_dpkg_in_use_is_waited_for_and_who_has_it_is_told(store, clock, monkeypatch) -> None:
    machine = FakeMachine()
    machine.held = 30
    notes: list[str] = []
    save = store.save

    def watched(update: Update) -> None:
        notes.extend(update.notes)
        save(update)

    monkeypatch.setattr(store, "save", watched)
    assert updated(store, machine, clock).phase is Phase.KEPT
    assert notes.count("apt-get (process 4711) uses dpkg") == 1, "written once, not every second"


def test_it_is_not_waited_for_for_ever_and_nothing_is_changed(store, clock) -> None:
    machine = FakeMachine()
    machine.held = 10**9
    update = updated(store, machine, clock)
    assert update.phase is Phase.FAILED and "did not let go of dpkg" in update.reasons[0]
    assert machine.installs == []


@pytest.mark.parametrize(("version", "status"), [("2.0.0", "installed"), ("", "not-installed")])
def test_what_somebody_else_installed_or_removed_is_left_alone(
    store, clock, monkeypatch, version: str, status: str
) -> None:
    machine = FakeMachine()
    look = machine.look

    def meanwhile() -> Look:
        machine.version, machine.status = version, status
        return look()

    monkeypatch.setattr(machine, "look", meanwhile)
    update = updated(store, machine, clock)
    assert update.phase is Phase.FAILED
    assert machine.installs == [NEW.version]


# --- power cuts ---------------------------------------------------------------------------------


def _acts(life: str, folder: Path) -> int:
    """How many acts an undisturbed update has."""
    store = Store(folder / life)
    store.folder.mkdir()
    store.path(OLD).write_bytes(OLD_FILE)
    store.path(NEW).write_bytes(NEW_FILE)
    machine = FakeMachine(new=life)
    updated(store, machine, FakeClock())
    return machine.acts


@pytest.mark.parametrize("life", ["well", "silent", "crashes", "broken"])
def test_a_power_cut_at_any_act_changes_nothing_of_the_end(store, tmp_path, life: str) -> None:
    end = Phase.KEPT if life == "well" else Phase.PUT_BACK
    acts = _acts(life, tmp_path)
    assert acts > 4
    for cut_at in range(acts):
        store.path(OLD).write_bytes(OLD_FILE)
        store.path(NEW).write_bytes(NEW_FILE)
        machine = FakeMachine(new=life)
        machine.cut_at = cut_at
        store.save(order())
        with pytest.raises(PowerCut):
            Helper(store, machine, FakeClock()).run()
        machine._start()  # The machine boots, and its service with it.
        ended = Helper(store, machine, FakeClock()).run()
        assert ended is not None and ended.phase is end, cut_at
        assert machine.status == "installed" and machine.running == machine.version, cut_at


def test_a_version_that_takes_the_machine_down_is_given_up(store, monkeypatch) -> None:
    machine = FakeMachine(new="well")
    store.save(order())
    look = machine.look

    def falls() -> Look:
        if machine.version == NEW.version:
            raise PowerCut
        return look()

    monkeypatch.setattr(machine, "look", falls)
    for _ in range(3):
        with pytest.raises(PowerCut):
            Helper(store, machine, FakeClock()).run()
    ended = Helper(store, machine, FakeClock()).run()
    assert ended is not None and ended.phase is Phase.PUT_BACK
    assert "interrupted 3 times while watching" in ended.reasons[0]


def test_an_orderly_stop_does_not_count_as_an_attempt(store) -> None:
    machine = FakeMachine()
    store.save(order())
    for _ in range(10):
        with pytest.raises(Stopped):
            Helper(store, machine, FakeClock(), stopping=lambda: True).run()
    ended = Helper(store, machine, FakeClock()).run()
    assert ended is not None and ended.phase is Phase.KEPT


def test_what_an_interrupted_dpkg_left_is_configured_first(store, clock) -> None:
    machine = FakeMachine()
    machine.version, machine.status = NEW.version, "unpacked"
    assert updated(store, machine, clock, phase=Phase.INSTALLING, attempts=1).phase is Phase.KEPT
    assert machine.configured == 1


def test_a_package_that_changed_on_the_disk_is_not_installed(store, clock) -> None:
    store.path(NEW).write_bytes(b"another")
    machine = FakeMachine()
    update = updated(store, machine, clock)
    assert update.phase is Phase.PUT_BACK and "changed on the disk" in update.reasons[0]
    assert machine.installs == []


def test_a_damaged_result_of_an_earlier_update_stops_none(store, clock) -> None:
    (store.folder / "result.json").write_text("{")
    assert updated(store, FakeMachine(), clock).phase is Phase.KEPT


def test_no_order_is_nothing_to_do(store, clock) -> None:
    assert Helper(store, FakeMachine(), clock).run() is None


def test_its_patience_is_longer_once_there_is_no_way_but_on() -> None:
    assert helper_module.LOCK_WAIT_S > helper_module.FIRST_LOCK_WAIT_S
