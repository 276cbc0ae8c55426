"""What several checks stand on: the configuration, the unit, the user, what a running agent says.

A shell, as `examine`: what cannot be found out here is a finding, and the checks go on without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from edge_agent.doctor import configuration, running, unit, versions
from edge_agent.doctor.access import Look, User
from edge_agent.doctor.findings import Finding, Subject
from edge_agent.doctor.probes.bounded import Bounded
from edge_agent.model import Site

T = TypeVar("T")

Configured = tuple[configuration.Loaded, Site | None, Look]

BOUND_S = 15.0
"""Of one check, and of each thing here; what it does has shorter bounds of its own, where it can have any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    config: Path
    is_default: bool
    """Nobody named the configuration."""
    socket: Path
    offline: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    options: Options
    kernel_error: str
    unit: unit.Unit
    user: User
    answer: running.Answer
    loaded: configuration.Loaded
    look: Look
    site: Site | None
    failed: tuple[Finding, ...] = ()
    """What could not be found out."""

    @property
    def agents(self) -> tuple[int, ...]:
        """Processes that are the agent's."""
        snapshot = self.answer.snapshot
        told = (int(snapshot["agent"]["pid"]),) if snapshot else ()
        return (*told, *((self.unit.pid,) if self.unit.pid else ()))

    @property
    def has_silent_agent(self) -> bool:
        """An agent runs, and does not say what it does."""
        return self.answer.snapshot is None and (self.answer.is_there or self.unit.is_active)

    @property
    def is_configured(self) -> bool | None:
        """None: the doctor may not look."""
        return None if self.look.hidden_by else not self.look.is_missing

    def is_known(self, check: str) -> bool:
        """Whether the facts of a check are here."""
        return not any(one.check == check for one in self.failed)


def unchecked(about: Subject, error: Exception) -> Finding:
    return about.skipped(f"could not be checked: {type(error).__name__}: {error}")


@dataclass(slots=True)
class _Gatherer:
    failed: list[Finding] = field(default_factory=list)

    def bounded(self, check: str, call: Callable[[], T], default: T) -> T:
        return self.plain(check, lambda: Bounded(call, check).result(BOUND_S), default)

    def plain(self, check: str, call: Callable[[], T], default: T) -> T:
        try:
            return call()
        except Exception as error:  # noqa: BLE001 (whatever it is, the other checks must not suffer)
            self.failed.append(unchecked(Subject(check, check), error))
            return default


def gather(options: Options) -> Case:
    """Call it before the program has any thread: the kernels are tested in a fork."""
    from edge_agent.doctor.probes import agent, units, users
    from edge_agent.doctor.probes import versions as version_probe

    facts = _Gatherer()
    kernel_error = facts.plain(versions.CHECK, version_probe.kernel_error, "their self-test failed")
    the_unit = facts.bounded(unit.CHECK, units.of_the_agent, unit.Unit())
    answer = facts.bounded(
        running.CHECK, partial(agent.ask, options.socket), running.Answer(socket=str(options.socket))
    )
    whom = partial(users.of_the_agent, the_unit, options.socket)
    user = facts.plain(unit.CHECK, whom, User(name="root", uid=0))
    loaded, site, look = facts.bounded(configuration.CHECK, partial(_load, options), _not_loaded(options))
    return Case(
        options=options,
        kernel_error=kernel_error,
        unit=the_unit,
        user=user,
        answer=answer,
        loaded=loaded,
        look=look,
        site=site,
        failed=tuple(facts.failed),
    )


def _not_loaded(options: Options) -> Configured:
    path = str(options.config)
    return (
        configuration.Loaded(path=path, is_default=options.is_default),
        None,
        Look(path=path, hidden_by=path),
    )


def _load(options: Options) -> Configured:
    from edge_agent.doctor.probes import configuration as probe
    from edge_agent.doctor.probes import files

    path = str(options.config)
    look = files.look(path)
    if not (look.hidden_by or look.is_missing) and not files.may_read(path):
        look = replace(look, hidden_by=path)
    if look.hidden_by or look.is_missing:
        return configuration.Loaded(path=path, is_default=options.is_default), None, look
    loaded, site = probe.load(options.config, is_default=options.is_default)
    return loaded, site, look
