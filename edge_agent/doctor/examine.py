"""All checks on this machine: calls them side by side, and collects what they find.

A shell. Every check runs in a thread of its own and is waited for only so long; one that fails or hangs is
one finding, `could not be checked`.
"""

from __future__ import annotations

from collections.abc import Callable

from edge_agent.clock import Clock
from edge_agent.doctor import (
    broker,
    certificates,
    configuration,
    disk,
    ports,
    running,
    timekeeping,
    unit,
    versions,
)
from edge_agent.doctor.case import Options, gather, unchecked
from edge_agent.doctor.checks import Check, checks
from edge_agent.doctor.findings import Finding
from edge_agent.doctor.probes.bounded import Bounded
from edge_agent.model import NS

_ORDER = (
    configuration.CHECK, unit.CHECK, running.CHECK, ports.CHECK, broker.CHECK, certificates.CHECK,
    timekeeping.CHECK, disk.CHECK, versions.CHECK,
)  # fmt: skip


def examine(options: Options, clock: Clock) -> list[Finding]:
    """Every finding, by group. Call it before the program has any thread."""
    case = gather(options)
    began = clock.mono_ns()
    begun = [(check, Bounded(_listed(check), check.about.check)) for check in checks(case, clock)]
    found = list(case.failed)
    for check, bounded in begun:
        # They began together: what has hung beside another one has had its time.
        found += result(check, bounded, check.bound_s - (clock.mono_ns() - began) / NS)
    return sorted(found, key=lambda one: _ORDER.index(one.check))


def result(check: Check, bounded: Bounded[list[Finding]], left_s: float) -> list[Finding]:
    try:
        return bounded.result(max(0.0, left_s))
    except Exception as error:  # noqa: BLE001 (of one check, whatever it is, the others must not suffer)
        return [unchecked(check.about, error)]


def _listed(check: Check) -> Callable[[], list[Finding]]:
    return lambda: list(check.call())
