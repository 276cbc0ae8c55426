"""What a simulator says while it runs: its port, scripted events, changed faults, counts. Shell."""

from __future__ import annotations

import json
from typing import Any

from edge_agent.errors import InputError
from edge_agent.model import MonoNs, WallNs
from edge_agent.simulator.control import Control, ControlFile
from edge_agent.simulator.faults import Fault
from edge_agent.simulator.log import Happened
from edge_agent.simulator.server import Server
from edge_agent.simulator.truth import event_edges


class Session:
    """What the command says while the line's thread works."""

    def __init__(
        self,
        server: Server,
        control: ControlFile | None,
        base: dict[str, tuple[Fault, ...]],
        *,
        as_json: bool,
    ) -> None:
        self._server = server
        self._control = control
        self._base = base
        """Faults of the command line: in force beside those of the control file."""
        self._as_json = as_json
        self._told: MonoNs = server.slave.start
        self._unplugged = False

    def open(self) -> None:
        """The port's path alone on the first line, or an object with it."""
        server = self._server
        if not self._as_json:
            print(server.path, flush=True)
        devices = [
            {"name": device.name, "unit_id": device.unit_id, "points": len(device.points)}
            for device in server.slave.devices
        ]
        self.say("port", path=server.path, devices=devices, seed=server.faults.seed)

    def say(self, event: str, **detail: Any) -> None:
        if self._as_json:
            print(json.dumps({"event": event, **detail}), flush=True)
        elif event != "port":
            print(event, *(f"{key}={_plain(value)}" for key, value in detail.items()), flush=True)

    def tick(self) -> None:
        self._tell_events()
        if self._control is None:
            return
        try:
            control = self._control.changed()
        except InputError as error:
            self.say("control_refused", problem=str(error))
            return
        if control is not None:
            self._apply(control)

    def _tell_events(self) -> None:
        server, now, wall = self._server, self._server.clock.mono_ns(), self._server.clock.wall_ns()
        for at, edge, interval in event_edges(server.slave.devices, server.slave.start, self._told, now):
            self.say(edge, device=interval.device, point=interval.point)
            at_wall = WallNs(wall - (now - at))
            device, point = interval.device, interval.point
            server.log.add(Happened(t_wall=at_wall, t_mono=at, event=edge, device=device, point=point))
        self._told = now

    def _apply(self, control: Control) -> None:
        book = self._base | control.faults
        if book != self._server.faults.in_force():
            self._server.faults.replace(book)
            shown = {device: [str(fault) for fault in faults] for device, faults in book.items()}
            self._server.note("faults", detail=json.dumps(shown))
            self.say("faults", **shown)
        if control.unplugged != self._unplugged:
            self._unplugged = control.unplugged
            if control.unplugged:
                self._server.unplug()
            else:
                self._server.replug()
            self.say("unplug" if control.unplugged else "replug", path=self._server.path)

    def counts(self) -> dict[str, Any]:
        log = self._server.log
        counts: dict[str, Any] = {
            "answers": dict(log.answers),
            "faults": {k: n for k, n in log.faults.items() if n},
        }
        counts |= self._server.summary()
        if log.unwritten:
            counts |= {"log_lines_lost": log.unwritten, "log_error": log.last_error}
        return counts


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{key}:{item}" for key, item in value.items()) or "none"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
