"""What of the agent has become worse by an update. Pure: looks in, reasons out.

What only the agent decides must be well when the time is over: it runs, is the new version, answers, has
no new trouble. What others have a part in must have been well once since: a broker or a device that goes
away while we watch does not condemn a version that reached it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edge_agent.config.values import printable

MAX_PROBLEMS = 100
MAX_WORDS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The agent at one moment, as its service and its status say. What is not known is empty."""

    active: bool = False
    """systemd calls the service active: it has said that it is ready."""
    restarts: int = 0
    """By systemd itself, after the process ended or hung."""
    version: str = ""
    """Of the running agent, by its status socket; empty when that does not answer."""
    kernels: str = ""
    problems: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    """Those that answer."""
    connected: bool = False
    made: int = 0
    """Records of this run."""
    acked: int = 0
    """Of them taken by the broker."""
    refused: bool = False
    """The installed program refuses the configuration; looked at only where the service does not run."""


def of_snapshot(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a `Look` that a status snapshot tells, of whatever version: what is absent there or has
    another shape is not known, and not compared. Its words come to root's terminal, so they are bounded and
    control nothing there."""
    agent = _mapping(snapshot.get("agent"))
    counters = _mapping(snapshot.get("counters"))
    buses = [_mapping(bus) for bus in _list(snapshot.get("buses"))]
    devices = [_mapping(device) for bus in buses for device in _list(bus.get("devices"))]
    return {
        "version": _words(agent.get("version", "")),
        "kernels": _words(agent.get("kernels", "")),
        "problems": tuple(map(_words, _list(agent.get("problems"))[:MAX_PROBLEMS])),
        "devices": tuple(
            sorted(_words(device.get("name")) for device in devices if device.get("state") == "up")
        ),
        "connected": _mapping(snapshot.get("uplink")).get("state") == "connected",
        "made": _sum(counters, "records_made"),
        "acked": _sum(counters, "uplink_acked"),
    }


class Watch:
    """Looks of an agent that ran before the update, taken one after another since."""

    def __init__(self, before: Look, version: str) -> None:
        self._before = before
        self._version = version
        self._now = Look()
        self._restarts: int | None = None
        self._crashes = 0
        self._devices: set[str] = set()
        self._connected = self._made = self._acked = False

    def note(self, look: Look) -> None:
        if self._restarts is not None:
            # systemd begins to count anew when somebody restarts the service by hand.
            self._crashes += max(0, look.restarts - self._restarts)
        self._restarts = look.restarts
        self._now = look
        if look.version != self._version:
            return
        self._devices.update(look.devices)
        self._connected |= look.connected
        self._made |= look.made > 0
        self._acked |= look.acked > 0

    def broken(self) -> tuple[str, ...]:
        """Reasons that no waiting mends."""
        if not self._crashes:
            return ()
        times = "once" if self._crashes == 1 else f"{self._crashes} times"
        return (f"the service ended and was restarted by systemd {times}",)

    def missing(self) -> tuple[str, ...]:
        """Everything that is worse than before and may yet become well; empty when nothing is."""
        return (*self._own(), *self._with_others())

    def _own(self) -> Iterator[str]:
        now, before = self._now, self._before
        if not now.active:
            yield "the service is not active"
        elif not now.version:
            yield "the status socket does not answer"
        elif now.version != self._version:
            yield f"version {now.version} runs, not {self._version}"
        else:
            if before.kernels == "native" and now.kernels not in ("native", ""):
                yield f"kernels run as {now.kernels}, natively before"
            known = _kinds(before.problems)
            yield from (problem for problem in now.problems if _kind(problem) not in known)

    def _with_others(self) -> Iterator[str]:
        before = self._before
        for device in before.devices:
            if device not in self._devices:
                yield f"device {device} answered before and has not since"
        if before.connected and not self._connected:
            yield "the uplink was connected before and has not been since"
        if before.made and not self._made:
            yield "no record has been made since"
        if before.connected and before.acked and not self._acked:
            yield "the broker has taken no record since"


def _kinds(problems: Iterable[str]) -> set[str]:
    return {_kind(problem) for problem in problems}


def _kind(problem: str) -> str:
    """A problem without its figures, which change while the trouble stays."""
    return re.sub(r"[0-9.]+", "#", problem.partition(": ")[0])


def _words(value: object) -> str:
    return printable(str(value)[:MAX_WORDS])


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _sum(counters: Mapping[str, Any], name: str) -> int:
    series = (value for key, value in counters.items() if key.partition("{")[0] == name)
    return sum(value for value in series if isinstance(value, int))
