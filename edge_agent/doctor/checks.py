"""The list of checks: which probe each needs, and who judges what it finds.

A shell; nothing is looked at before a check is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

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
from edge_agent.doctor.case import BOUND_S, Case
from edge_agent.doctor.findings import Finding, Subject
from edge_agent.model import NS, BusDef, SerialLink, Site, SpoolDef


@dataclass(frozen=True, slots=True)
class Check:
    about: Subject
    call: Callable[[], Iterable[Finding]]
    bound_s: float = BOUND_S


def checks(case: Case, clock: Clock) -> Iterator[Check]:
    if case.is_known(configuration.CHECK):
        judged = partial(configuration.judge, case.loaded, case.look, case.user)
        yield Check(Subject(configuration.CHECK, case.loaded.path), judged)
    if case.is_known(unit.CHECK):
        judged = partial(unit.judge, case.unit, is_configured=case.is_configured)
        yield Check(Subject(unit.CHECK, case.unit.name), judged)
    if case.is_known(running.CHECK):
        config_hash = case.site.config_hash if case.site else ""
        judged = partial(running.judge, case.answer, config_hash=config_hash)
        yield Check(Subject(running.CHECK, "status"), judged)
    yield from _port_checks(case, clock)
    yield from _broker_checks(case, clock)
    yield from _certificate_checks(case, clock)
    yield Check(Subject(timekeeping.CHECK, "clocks"), partial(_clocks, clock))
    yield Check(Subject(disk.CHECK, "spool"), partial(_disk, case))
    yield Check(Subject(versions.CHECK, "versions"), partial(_versions, case))


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
    elif case.has_silent_agent:
        yield servers.judge(replace(about, agent_may_have_it=True))
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

    return versions.judge(probe.look(case.kernel_error))
