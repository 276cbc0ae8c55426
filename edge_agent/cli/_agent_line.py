"""A line whose port a running agent owns: what is asked of it is asked of the agent."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_agent.bus.line import Done, LineCounts
from edge_agent.bus.outcomes import PortDown, ReadRequest
from edge_agent.bus.wire.manners import Manners
from edge_agent.cli._problems import wrong
from edge_agent.clock import Clock
from edge_agent.daemon import status
from edge_agent.daemon.asking import Told, ask
from edge_agent.daemon.commands import CommandError, Read
from edge_agent.daemon.sockets import NoAgent
from edge_agent.errors import EdgeAgentError, PortError
from edge_agent.model import MonoNs


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """A device of the agent, the real path of a port that could not be opened because it is in use
    (`busy`), or the `host:port` of a device server, which takes whoever comes."""

    device: str = ""
    port: str = ""
    busy: PortError | None = None


class NotOwned(EdgeAgentError):
    """No running agent has this device server: it may be asked directly."""


class AgentLine:
    """A `Line`. It says once on stderr who was asked, and with `trace` who can show the frames."""

    def __init__(self, socket: Path, where: Where, clock: Clock, *, trace: bool = False) -> None:
        self._socket = socket
        self._where = where
        self._clock = clock
        self._trace = trace
        self.bus = ""
        """Of the agent, once it has answered."""
        self.is_open = True
        self.fault: PortError | None = None
        self.counts = LineCounts()
        self.manners: Mapping[int, Manners] = {}

    def open(self) -> None:
        self.is_open = True

    def close(self) -> None:
        pass

    def run(self, plan: Sequence[ReadRequest], deadline: MonoNs) -> list[Done]:
        made: list[Done] = []
        for request in plan:
            if self._clock.mono_ns() >= deadline:
                break
            made.append(self._read(request))
        return made

    def _read(self, request: ReadRequest) -> Done:
        told = self._ask(request)
        if not self.bus:
            self.bus = told.bus
            print(self._who(told), file=sys.stderr)
            if self._trace:
                print("the frames are the agent's: `edge-agent run --trace BUS` shows them", file=sys.stderr)
        if isinstance(told.outcome, PortDown):
            self.fault = PortError(
                f"the running agent's port is down: {told.outcome.reason} ({told.link})",
                reason=told.outcome.reason,
                hint="`edge-agent status` says why",
            )
        return Done(told.outcome, self._clock.mono_ns(), 0)

    def _who(self, told: Told) -> str:
        if self._where.port:
            return f"port owned by the running agent on bus {told.bus} ({told.link}); asked there"
        return f"asked the running agent on bus {told.bus} ({told.link}), unit {told.unit_id}"

    def _ask(self, request: ReadRequest) -> Told:
        where, what = self._where, (request.area, request.address, request.count)
        unit_id = 0 if where.device else request.unit_id
        area, address, count = what
        command = Read(
            device=where.device, port=where.port, unit_id=unit_id, area=area, address=address, count=count
        )
        try:
            return ask(self._socket, command)
        except NoAgent as error:
            raise (_busy(where.busy, error) if where.busy else self._not_asked(error)) from error
        except CommandError as error:
            if error.reason != "unknown":
                raise
            raise (where.busy or self._not_asked(error)) from error

    def _not_asked(self, error: EdgeAgentError) -> EdgeAgentError:
        """Of one that has answered once it is known that it owned the port, of one that may not be asked or
        is not understood it is not known that it does not: neither is a leave to go on without it."""
        may_own = bool(self.bus) or (isinstance(error, NoAgent) and error.is_there)
        return NotOwned(str(error)) if self._where.port and not may_own else error


def _busy(busy: PortError, error: NoAgent) -> PortError:
    """The port is in use, and no agent answers."""
    message = str(busy).partition("\n")[0]
    agent = error.hint if error.is_there else "--socket PATH finds it"
    hint = f"{busy.hint}; if it is an edge-agent: {agent}"
    return PortError(message, reason=busy.reason, hint=hint)


def unit_id_of(socket: Path, device: str, unit_id: int | None) -> int:
    """The unit id of a device of the running agent. InputError when it has none of that name."""
    known = {one["name"]: one["unit_id"] for bus in status.fetch(socket)["buses"] for one in bus["devices"]}
    if unit_id is not None:
        raise wrong("--unit-id", "is not given with --device: the agent knows it", str(unit_id))
    if device not in known:
        raise wrong("--device", "no such device", device, f"there is: {', '.join(known)}")
    return int(known[device])
