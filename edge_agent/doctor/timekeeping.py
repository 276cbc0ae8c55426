"""Judges the clock: a wrong one makes certificates invalid and records hard to place. Pure."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from edge_agent.doctor.findings import Finding, Subject

CHECK = "clock"
FIRST_YEAR, LAST_YEAR = 2026, 2099
"""No gateway with this program is older; one beyond lost its battery another way."""
MOST_APART_S = 60.0
_SHOW = {
    "chrony": "chronyc sources", "ntp": "ntpq -p", "systemd-timesyncd": "timedatectl timesync-status",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    wall_s: float
    is_synchronised: bool
    rtc_s: float | None = None
    """What the hardware clock says; None where there is none."""
    in_container: bool = False
    daemons: tuple[str, ...] = ()
    """Units that keep the time and run."""


def judge(clocks: Clocks) -> Iterator[Finding]:
    yield _year(clocks)
    yield _synchronised(clocks)
    yield _rtc(clocks)


def _year(clocks: Clocks) -> Finding:
    about = Subject(CHECK, "date")
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(clocks.wall_s))
    if FIRST_YEAR <= time.gmtime(clocks.wall_s).tm_year <= LAST_YEAR:
        return about.ok(shown)
    return about.fault(
        f"{shown} cannot be right: certificates will be refused", "$ sudo date -u -s 'YYYY-MM-DD hh:mm:ss'"
    )


def _synchronised(clocks: Clocks) -> Finding:
    about = Subject(CHECK, "synchronised")
    if clocks.is_synchronised:
        return about.ok(f"yes{', by ' + ', '.join(clocks.daemons) if clocks.daemons else ''}")
    seen = "no: records say that their times are not certain"
    if clocks.in_container:
        return about.warning(seen, "the clock of a container is its host's: synchronise that")
    if not clocks.daemons:
        return about.warning(
            f"{seen}; nothing keeps the time",
            "$ sudo apt install systemd-timesyncd",
            "$ sudo timedatectl set-ntp true",
        )
    daemon = clocks.daemons[0]
    show = [f"$ {command}" for name, command in _SHOW.items() if daemon.startswith(name)]
    return about.warning(
        f"{seen}; {daemon} runs but has no answer yet", "does a time server answer (UDP 123)?", *show
    )


def _rtc(clocks: Clocks) -> Finding:
    about = Subject(CHECK, "hardware clock")
    if clocks.rtc_s is None:
        return about.note("there is none: after a power cut the time is wrong until a time server answers")
    apart = clocks.rtc_s - clocks.wall_s
    if abs(apart) <= MOST_APART_S:
        return about.ok("agrees")
    shown = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(clocks.rtc_s))
    return about.warning(
        f"says {shown}, {_span(abs(apart))} {'ahead' if apart > 0 else 'behind'}",
        "if the date above is right (else the battery may be empty, or it keeps local time):",
        "$ sudo hwclock --systohc --utc",
        "it is in the package util-linux-extra",
    )


def _span(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
