"""The helper: takes an update from where it is to its end. Runs as root in a unit of its own.

It runs by a copy of the version that ordered the update, also after a power cut: what is installed meanwhile
may not start. A purge may take the copy away under it, and its end does: so everything it needs is imported
before the first phase begins. What was decided is durable before it is acted upon, and each act may be done
twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from edge_agent.clock import Clock
from edge_agent.errors import UpdateError
from edge_agent.model import NS, MonoNs
from edge_agent.update import machine, staging
from edge_agent.update.health import Watch
from edge_agent.update.machine import Event, Package, Phase, Update
from edge_agent.update.store import Result, Store
from edge_agent.update.system import System

log = logging.getLogger(__name__)

FIRST_LOCK_WAIT_S = 600.0
"""For apt or another dpkg to end, while nothing is changed yet."""
LOCK_WAIT_S = 3600.0
"""The same once there is no way but on: an unattended upgrade of everything may run after a boot."""
RUNS_AGAIN_S = 90.0
"""For the old version to be ready after it was put back."""
POLL_S = 1.0


class Stopped(Exception):
    """The system shuts down, or somebody stopped the unit: go on at the next start."""


@dataclass(frozen=True, slots=True)
class Verdict:
    event: Event
    reasons: tuple[str, ...] = ()


class Helper:
    """`run` needs the store's lock. `stopping` is asked between two acts."""

    def __init__(
        self, store: Store, system: System, clock: Clock, stopping: Callable[[], bool] = lambda: False
    ) -> None:
        self._store = store
        self._system = system
        self._clock = clock
        self._stopping = stopping
        self._resumed = False

    def run(self) -> Update | None:
        """The update after its end; None when there is none to do. Raises Stopped."""
        update = self._store.load()
        if update is None:
            return None
        self._resumed = update.attempts > 0
        log.info("update from %s to %s: %s", update.old.version, update.new.version, update.phase)
        while not update.ended:
            update = self._turn(update)
        self._finish(update)
        return update

    def _turn(self, update: Update) -> Update:
        update = machine.begun_again(update)
        self._store.save(update)
        if update.ended:
            return update
        try:
            verdict = self._act(update)
        except UpdateError as error:
            verdict = Verdict(Event.BAD, (str(error).partition("\n")[0],))
        except Stopped:
            # An orderly stop says nothing about the version.
            self._store.save(replace(update, attempts=update.attempts - 1))
            raise
        self._resumed = False
        update = machine.moved(update, verdict.event, *verdict.reasons)
        for reason in verdict.reasons:
            log.warning("%s", reason)
        log.info("update from %s to %s: %s", update.old.version, update.new.version, update.phase)
        self._store.save(update)
        return update

    def _act(self, update: Update) -> Verdict:
        act = {
            Phase.STAGED: self._wait_for_dpkg,
            Phase.INSTALLING: self._install,
            Phase.WATCHING: self._watch,
            Phase.PUTTING_BACK: self._put_back,
        }[update.phase]
        return act(update)

    # --- the phases -----------------------------------------------------------------------------

    def _wait_for_dpkg(self, update: Update) -> Verdict:
        with self._dpkg_lock(update, FIRST_LOCK_WAIT_S):
            return Verdict(Event.DPKG_IS_FREE)

    def _install(self, update: Update) -> Verdict:
        with self._dpkg_lock(update, LOCK_WAIT_S):
            if theirs := self._taken_over(update):
                return theirs
            if why := self._dpkg_installs(update.new):
                return Verdict(Event.BAD, (f"{update.new.version} could not be installed: {why}",))
        return Verdict(Event.INSTALLED)

    def _watch(self, update: Update) -> Verdict:
        if not update.before.active:
            why = self._system.refusal(with_configuration=not update.before.refused)
            return Verdict(Event.BAD, (why,)) if why else Verdict(Event.HEALTHY)
        watch = Watch(update.before, update.new.version)
        self._make_run(update.new)
        end = self._after(update.watch_s)
        while True:
            watch.note(self._system.look())
            missing = watch.broken() or watch.missing()
            if watch.broken() or self._clock.mono_ns() >= end:
                judged = Verdict(Event.BAD, missing) if missing else Verdict(Event.HEALTHY)
                return self._taken_over(update) or judged
            update = self._note(update, missing)
            self._pause()

    def _put_back(self, update: Update) -> Verdict:
        old = update.old
        with self._dpkg_lock(update, LOCK_WAIT_S):
            if theirs := self._taken_over(update):
                return theirs
            now = self._system.installed()
            untouched = now.is_sound and now.version == old.version != update.new.version
            if not untouched and (why := self._dpkg_installs(old)):
                return Verdict(Event.BAD, (f"{old.version} could not be put back: {why}",))
        if update.before.active and not self._runs(old):
            why = f"{old.version} was put back, and its service was not ready within {RUNS_AGAIN_S:g} s"
            return Verdict(Event.BAD, (why,))
        return Verdict(Event.RUNS_AGAIN)

    # --- acts -----------------------------------------------------------------------------------

    def _dpkg_installs(self, package: Package) -> str:
        """Why not; empty when it is installed and configured."""
        path = staging.checked(self._store, package)
        if self._resumed and self._system.is_interrupted():
            log.info("dpkg was interrupted: %s", self._system.configure_pending().words())
        done = self._system.install(path)
        for line in done.output.splitlines():
            log.info("dpkg: %s", line)
        now = self._system.installed()
        if done.ok and now.is_sound and now.version == package.version:
            return ""
        return done.words() if not done.ok else f"dpkg left it {now.status} in version {now.version}"

    def _taken_over(self, update: Update) -> Verdict | None:
        now = self._system.installed()
        if not now.is_present:
            return Verdict(Event.TAKEN_OVER, ("edge-agent was removed meanwhile",))
        if now.version not in (update.old.version, update.new.version):
            return Verdict(Event.TAKEN_OVER, (f"somebody installed {now.version} meanwhile",))
        return None

    def _make_run(self, package: Package) -> None:
        """The package restarts the service itself; but dpkg may have been interrupted just before."""
        if self._system.look().version != package.version:
            self._system.restart()

    def _runs(self, package: Package) -> bool:
        self._make_run(package)
        end = self._after(RUNS_AGAIN_S)
        while True:
            look = self._system.look()
            if look.active and look.version == package.version:
                return True
            if self._clock.mono_ns() >= end:
                return False
            self._pause()

    @contextmanager
    def _dpkg_lock(self, update: Update, patience_s: float) -> Iterator[None]:
        end = self._after(patience_s)
        while True:
            with self._system.dpkg_lock() as ours:
                if ours:
                    yield
                    return
            holder = self._system.dpkg_lock_holder() or "another program"
            if self._clock.mono_ns() >= end:
                raise UpdateError(
                    f"{holder} did not let go of dpkg in {patience_s / 60:g} min",
                    hint="when it has ended, again",
                )
            update = self._note(update, (f"{holder} uses dpkg",))
            self._pause()

    # --- time and notes -------------------------------------------------------------------------

    def _after(self, seconds: float) -> MonoNs:
        return MonoNs(self._clock.mono_ns() + int(seconds * NS))

    def _pause(self) -> None:
        if self._stopping():
            raise Stopped
        self._clock.sleep_until(self._after(POLL_S))

    def _note(self, update: Update, notes: tuple[str, ...]) -> Update:
        """What is being waited for, for who follows; written only when it changes."""
        if notes == update.notes:
            return update
        for note in notes:
            if note not in update.notes:
                log.info("waiting: %s", note)
        update = replace(update, notes=notes)
        with suppress(UpdateError):
            self._store.save(update)
        return update

    def _finish(self, update: Update) -> None:
        kept = update.phase is Phase.KEPT
        last = self._store.earlier()
        earlier = last.previous if last and last.installed == update.old else None
        result = Result(
            update=update,
            ended_s=self._clock.wall_ns() / NS,
            installed=update.new if kept else update.old,
            previous=update.old if kept else earlier,
        )
        self._store.finish(result)
        level = logging.INFO if kept else logging.ERROR
        log.log(level, "update from %s to %s ended: %s", update.old.version, update.new.version, update.phase)
