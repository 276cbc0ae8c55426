"""All checks on this machine: gathers the facts side by side, and joins what is judged of them.

A shell. Every check runs in a thread of its own and is waited for only so long; one that fails or hangs is
one finding, `could not be checked`. What others stand on (configuration, unit, status) comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from edge_agent.clock import Clock
from edge_agent.doctor import (
    adapters,
    broker,
    certificates,
    configuration,
    disk,
    ports,
    running,
    servers,
    timekeeping,
    unit,
    versions,
)
from edge_agent.doctor.access import Look, User
from edge_agent.doctor.findings import Finding, Subject
from edge_agent.doctor.probes.bounded import Bounded
from edge_agent.model import NS, BusDef, SerialLink, Site, SpoolDef

T = TypeVar("T")

Configured = tuple[configuration.Loaded, Site | None, Look]

BOUND_S = 15.0
"""Of one check; what a check does has shorter bounds of its own, where it can have any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    config: Path
    is_default: bool
    """Nobody named the configuration."""
    socket: Path
    offline: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What several checks stand on."""

    options: Options
    kernels: str
    unit: unit.Unit
    user: User
    answer: running.Answer
    loaded: configuration.Loaded
    look: Look
    site: Site | None

    @property
    def agents(self) -> tuple[int, ...]:
        """Processes that are the agent's."""
        snapshot = self.answer.snapshot
        told = (int(snapshot["agent"]["pid"]),) if snapshot else ()
        return (*told, *((self.unit.pid,) if self.unit.pid else ()))

    @property
    def is_configured(self) -> bool | None:
        """None: the doctor may not look."""
        return None if self.look.hidden_by else not self.look.is_missing


@dataclass(frozen=True, slots=True)
class Check:
    about: Subject
    call: Callable[[], Iterable[Finding]]
    bound_s: float = BOUND_S


def examine(options: Options, clock: Clock) -> list[Finding]:
    """Every finding, by group. Call it before the program has any thread."""
    failed: list[Finding] = []
    case = _case(options, failed)
    begun = [(check, Bounded(_listed(check), check.about.check)) for check in _checks(case, clock)]
    found = [one for check, bounded in begun for one in _result(check, bounded)]
    return _in_order([*failed, *found])


def _in_order(findings: list[Finding]) -> list[Finding]:
    """Groups as they first come, with what belongs to them together."""
    groups = dict.fromkeys(one.check for one in findings)
    return [one for group in sorted(groups, key=_rank) for one in findings if one.check == group]


_ORDER = (
    configuration.CHECK, unit.CHECK, running.CHECK, ports.CHECK, broker.CHECK, certificates.CHECK,
    timekeeping.CHECK, disk.CHECK, versions.CHECK,
)  # fmt: skip


def _rank(group: str) -> int:
    return _ORDER.index(group)


def _listed(check: Check) -> Callable[[], list[Finding]]:
    return lambda: list(check.call())


def _result(check: Check, bounded: Bounded[list[Finding]]) -> list[Finding]:
    try:
        return bounded.result(check.bound_s)
    except Exception as error:  # noqa: BLE001 (of one check, whatever it is, the others must not suffer)
        return [_unchecked(check.about, error)]


def _unchecked(about: Subject, error: Exception) -> Finding:
    return about.skipped(f"could not be checked: {type(error).__name__}: {error}")


# --- what several checks stand on -----------------------------------------------------------------


def _case(options: Options, failed: list[Finding]) -> Case:
    from edge_agent.doctor.probes import agent, units, users
    from edge_agent.doctor.probes import versions as version_probe

    def safely(about: Subject, call: Callable[[], T], default: T) -> T:
        try:
            return Bounded(call, about.check).result(BOUND_S)
        except Exception as error:  # noqa: BLE001 (as in `_result`)
            failed.append(_unchecked(about, error))
            return default

    kernels = version_probe.kernel_error()
    the_unit = safely(Subject(unit.CHECK, "unit"), units.of_the_agent, unit.Unit())
    path = str(options.config)
    nothing: Configured = (
        configuration.Loaded(path=path, is_default=options.is_default),
        None,
        Look(path=path, hidden_by=path),
    )
    loaded, site, look = safely(Subject(configuration.CHECK, path), partial(_load, options), nothing)
    socket = str(options.socket)
    return Case(
        options=options,
        kernels=kernels,
        unit=the_unit,
        user=users.of_the_agent(the_unit, options.socket),
        answer=safely(
            Subject(running.CHECK, "status"), lambda: agent.ask(options.socket), running.Answer(socket=socket)
        ),
        loaded=loaded,
        look=look,
        site=site,
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


# --- the checks -----------------------------------------------------------------------------------


def _checks(case: Case, clock: Clock) -> Iterator[Check]:
    yield Check(
        Subject(configuration.CHECK, case.loaded.path),
        lambda: configuration.judge(case.loaded, case.look, case.user),
    )
    yield Check(
        Subject(unit.CHECK, case.unit.name), lambda: unit.judge(case.unit, is_configured=case.is_configured)
    )
    config_hash = case.site.config_hash if case.site else ""
    yield Check(Subject(running.CHECK, "status"), lambda: running.judge(case.answer, config_hash=config_hash))
    yield from _port_checks(case, clock)
    yield from _broker_checks(case, clock)
    yield from _certificate_checks(case, clock)
    yield Check(Subject(timekeeping.CHECK, "clocks"), lambda: _clocks(clock))
    yield Check(Subject(disk.CHECK, "spool"), lambda: _disk(case))
    yield Check(Subject(versions.CHECK, "versions"), lambda: _versions(case))


def _port_checks(case: Case, clock: Clock) -> Iterator[Check]:
    if case.site is None:
        yield Check(Subject(ports.CHECK, "serial ports"), partial(_ports_there, case))
        return
    for bus in case.site.buses:
        judged = _port_of if isinstance(bus.link, SerialLink) else _server
        yield Check(Subject(ports.CHECK, f"bus {bus.name}"), partial(judged, case, bus, clock))


def _port_of(case: Case, bus: BusDef, _: Clock) -> Iterator[Finding]:
    link = bus.link
    assert isinstance(link, SerialLink), "chosen by it"
    return _port(case, bus.name, link.path, wants_rs485=link.rs485 is not None)


def _ports_there(case: Case) -> Iterator[Finding]:
    from edge_agent.doctor.probes import ports as probe

    there = probe.present()
    if not there:
        yield Subject(ports.CHECK, "serial ports").note("no serial adapter is plugged in")
    for path in there:
        yield from _port(case, "", path, wants_rs485=False)


def _port(case: Case, bus: str, path: str, *, wants_rs485: bool) -> Iterator[Finding]:
    from edge_agent.doctor.probes import ports as probe

    port = probe.look(bus, path, wants_rs485=wants_rs485, agents=case.agents)
    yield from ports.judge(port, case.user, case.unit)
    yield from adapters.judge(port)


def _server(case: Case, bus: BusDef, clock: Clock) -> Iterator[Finding]:
    from edge_agent.bus.report import describe_link
    from edge_agent.doctor.probes import servers as probe

    about = servers.Server(bus=bus.name, link=describe_link(bus))
    snapshot = case.answer.snapshot
    owned = snapshot["buses"] if snapshot else ()
    if any(one["link"] == about.link and one["state"] == "open" for one in owned):
        yield servers.judge(replace(about, agent_has_it=True))
    elif case.options.offline:
        yield servers.judge(replace(about, is_offline=True))
    else:
        yield servers.judge(probe.attempt(bus, clock))


def _broker_checks(case: Case, clock: Clock) -> Iterator[Check]:
    from edge_agent.doctor.probes.broker import BOUND_S as BROKER_S

    if case.site is None:
        about = Subject(broker.CHECK, "broker")
        yield Check(about, lambda: [about.skipped("no configuration that says where it is")])
    else:
        about = Subject(broker.CHECK, case.site.uplink.url)
        yield Check(about, partial(_broker, case, case.site, clock), BROKER_S)


def _broker(case: Case, site: Site, clock: Clock) -> Iterator[Finding]:
    from edge_agent.doctor.probes import broker as probe

    if case.options.offline:
        attempt = broker.Attempt(url=site.uplink.url, host="", is_offline=True)
    else:
        snapshot = case.answer.snapshot
        is_connected = snapshot is not None and snapshot["uplink"]["state"] == "connected"
        attempt = probe.attempt(site, clock, agent_is_connected=is_connected)
    return broker.judge(attempt, clock.wall_ns() / NS)


def _certificate_checks(case: Case, clock: Clock) -> Iterator[Check]:
    from edge_agent.doctor.probes import certificates as probe

    if case.site is None:
        return
    for owner, key, path in probe.named(case.site):
        about = Subject(certificates.CHECK, f"{owner} {key}: {path}")
        yield Check(about, partial(_certificate, case, clock, owner, key, path))
    yield Check(Subject(certificates.CHECK, "cert and key"), partial(_pairs, case.site))


def _certificate(case: Case, clock: Clock, owner: str, key: str, path: str) -> Iterator[Finding]:
    from edge_agent.doctor.probes import certificates as probe

    file = probe.look(owner, key, path)
    return certificates.judge_file(file, case.user, case.unit, clock.wall_ns() / NS)


def _pairs(site: Site) -> Sequence[Finding]:
    from edge_agent.doctor.probes import certificates as probe

    return [certificates.judge_pair(one) for one in probe.pairs(site)]


def _clocks(clock: Clock) -> Iterator[Finding]:
    from edge_agent.doctor.probes import timekeeping as probe

    return timekeeping.judge(probe.look(clock))


def _disk(case: Case) -> Iterator[Finding]:
    from edge_agent.doctor.probes import disk as probe

    spool = case.site.spool if case.site else SpoolDef()
    limits = disk.Limits(max_bytes=spool.max_bytes, min_free_bytes=spool.min_free_bytes)
    return disk.judge(probe.look(spool.path), probe.spool(spool.path, case.user), limits, case.user)


def _versions(case: Case) -> Iterator[Finding]:
    from edge_agent.doctor.probes import versions as probe

    return versions.judge(probe.look(case.kernels))
