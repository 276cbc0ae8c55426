"""Who takes a command to its bus, and makes a reply of what it came to."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from edge_agent.bus.outcomes import ReadRequest
from edge_agent.bus.plan.atoms import objection
from edge_agent.bus.report import describe_link
from edge_agent.bus.schedule.lane import Answer, Asked, LaneFull
from edge_agent.clock import Clock
from edge_agent.config.links import line_of
from edge_agent.counters import Counters, declare
from edge_agent.daemon.commands import (
    PATIENCE_NS,
    CommandError,
    Probe,
    Purge,
    Read,
    error_line,
    late,
    longest_ns,
    parse,
    purged_line,
    reply_line,
)
from edge_agent.model import BusDef, DeviceDef, MonoNs, Site
from edge_agent.records.events import Audit

log = logging.getLogger(__name__)

COMMANDS_FAILED = declare(
    "commands_failed", "commands that were not understood or not taken, by reason", "reason"
)

Reply = Callable[[bytes], None]
"""Called once, from any thread, with the line to send; must not block."""


class Askable(Protocol):
    """A bus that runs."""

    def ask(self, asked: Asked) -> None: ...


class Store(Protocol):
    """The writer of the spool."""

    def purge(self, streams: Sequence[str], answer: Callable[[dict[str, int] | OSError], None]) -> None: ...


class Desk:
    """`buses` are those of the site, in its order. `take` is called by one thread. Without a `store` nothing
    of the spool can be given up."""

    def __init__(
        self, site: Site, buses: Sequence[Askable], clock: Clock, counters: Counters, *,
        store: Store | None = None, audit: Callable[[Audit], None] = lambda _audit: None,
    ) -> None:  # fmt: skip
        self._site = site
        self._store = store
        self._audit = audit
        self._buses = buses
        self._clock = clock
        self._counters = counters
        self.patience_ns = longest_ns(_slowest_ns(site))

    def take(self, line: bytes, reply: Reply, who: str = "local") -> None:
        """Carry out one command, or say at once why not. Whatever a client says, the thread goes on."""
        try:
            command = parse(line)
            if isinstance(command, Purge):
                self._purge(command, reply, who)
            else:
                self._read(command, reply)
        except CommandError as error:
            reply(self.failed(error))
        except Exception:
            log.exception("a command failed: %r", line[:200])
            hint = "the agent's log says more; this is a mistake in the agent"
            reply(self.failed(CommandError("the command failed", reason="failed", hint=hint)))

    def failed(self, error: CommandError) -> bytes:
        self._counters.get(COMMANDS_FAILED, error.reason).add()
        return error_line(error)

    def _purge(self, command: Purge, reply: Reply, who: str) -> None:
        own = os.path.realpath(self._site.spool.path)
        if self._store is None or command.path != own:
            raise CommandError(f"this agent's spool is not {command.path}", reason="unknown", hint=own)

        def answer(came: dict[str, int] | OSError) -> None:
            if isinstance(came, OSError):
                self._audit(Audit(who=who, what="spool purge", result=f"failed: {came}"))
                reply(self.failed(CommandError(f"nothing was purged: {came}", reason="failed")))
            else:
                said = ", ".join(f"{stream} {count}" for stream, count in came.items())
                self._audit(Audit(who=who, what="spool purge", result="done", detail=said))
                reply(purged_line(came))

        self._store.purge(command.streams, answer)

    def _read(self, command: Read | Probe, reply: Reply) -> None:
        number, unit_id, name = self._whom(command)
        bus = self._site.buses[number]
        about = {"bus": bus.name, "link": describe_link(bus), "unit_id": unit_id, "device": name}
        what = self._index(name) if isinstance(command, Probe) else self._request(bus, unit_id, name, command)

        def answer(came: Answer) -> None:
            if came.outcome is None:
                # Counted where it happened: `bus_lane_expired`.
                reply(error_line(late(PATIENCE_NS)))
            else:
                reply(reply_line(came.outcome, about | _state(came)))

        try:
            self._buses[number].ask(Asked(what, MonoNs(self._clock.mono_ns() + PATIENCE_NS), answer))
        except LaneFull as full:
            message, _, hint = str(full).partition("\n    hint: ")
            raise CommandError(message, reason="full", hint=hint) from None

    def _whom(self, command: Read | Probe) -> tuple[int, int, str]:
        """(number of the bus, unit id, name of the device or empty when none is configured)."""
        if command.device:
            for number, device in self._devices():
                if device.name == command.device:
                    return number, device.unit_id, device.name
            raise CommandError(f"no device {command.device}", reason="unknown", hint=self._known())
        assert isinstance(command, Read), "a probe always names its device"
        number = self._number(command)
        devices = self._site.buses[number].devices
        name = next((device.name for device in devices if device.unit_id == command.unit_id), "")
        return number, command.unit_id, name

    def _number(self, command: Read) -> int:
        for number, bus in enumerate(self._site.buses):
            if bus.name == command.bus or (command.port and _is_port(bus, command.port)):
                return number
        what = f"bus {command.bus}" if command.bus else f"bus on {command.port}"
        buses = ", ".join(f"{bus.name} ({describe_link(bus)})" for bus in self._site.buses)
        raise CommandError(f"no {what}", reason="unknown", hint=f"there is: {buses}")

    def _request(self, bus: BusDef, unit_id: int, name: str, command: Read) -> ReadRequest:
        first, end = command.address, command.address + command.count
        for device in bus.devices:
            if device.unit_id == unit_id and (why := objection(command.area, first, end, device)):
                raise CommandError(
                    f"{device.name} must not be asked for {command.area} {first}-{end - 1} in one read",
                    reason="forbidden",
                    hint=f"{why} (quirks of its profile or configuration)",
                )
        index = self._index(name) if name else -unit_id
        return ReadRequest(index, unit_id, command.area, command.address, command.count, ())

    def _index(self, name: str) -> int:
        return next(index for index, device in enumerate(self._site.devices) if device.name == name)

    def _devices(self) -> list[tuple[int, DeviceDef]]:
        return [(number, device) for number, bus in enumerate(self._site.buses) for device in bus.devices]

    def _known(self) -> str:
        return "there is: " + ", ".join(device.name for _, device in self._devices()[:20])


def _slowest_ns(site: Site) -> int:
    quirks = [device.quirks.response_timeout_ns or 0 for device in site.devices]
    return max([*quirks, *(bus.timeout_ns for bus in site.buses)], default=0)


def _is_port(bus: BusDef, port: str) -> bool:
    """Whether this is the bus's port. The client has resolved the name of a serial port: a path that
    somebody else chose is not looked at with the agent's rights."""
    kind, own = line_of(bus.link)
    return (os.path.realpath(own) if kind == "serial" else own) == port


def _state(came: Answer) -> dict[str, Any]:
    return {"probing": came.is_silent}
