"""One run of the demo: start everything, show what arrives, stop in order, compare, count."""

from __future__ import annotations

import json
import queue
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from edge_agent.clock import Clock
from edge_agent.daemon import status
from edge_agent.demo import plant
from edge_agent.demo.broker import Broker
from edge_agent.demo.children import Children, agent_command
from edge_agent.demo.show import Show
from edge_agent.demo.tally import Comparison, Tally, compare
from edge_agent.errors import EdgeAgentError
from edge_agent.model import NS, MonoNs, WallNs
from edge_agent.profiles import load_site
from edge_agent.simulator import log

Event = dict[str, Any]
_START_S = 20.0
_STOP_S = 10.0
_QUIET_NS = 2 * NS
_LIVE_EVERY_NS = NS


@dataclass(frozen=True, slots=True)
class Outcome:
    tally: Tally
    comparison: Comparison
    polls: int


class Session:
    """Everything the demo starts, in `folder`; `say` prints a line for the person."""

    def __init__(self, folder: Path, broker: Broker, show: Show, say: Callable[[str], None], clock: Clock):
        self._folder = folder
        self._broker = broker
        self._show = show
        self._say = say
        self._clock = clock
        self._tally = Tally()
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._polls = 0

    def run(self, seconds: float | None, stop: threading.Event) -> Outcome:
        """For `seconds` from the agent's start (None: until `stop`)."""
        with Children(self._folder, self._clock) as children:
            self._start(children)
            end = None if seconds is None else MonoNs(self._clock.mono_ns() + int(seconds * NS))
            self._watch(children, end, stop)
            told_at = self._clock.wall_ns()
            self._stop(children)
        site = load_site(self._folder / plant.AGENT)
        entries = log.read(self._folder / plant.SERVED)
        return Outcome(self._tally, compare(site, entries, self._tally, WallNs(told_at)), self._polls)

    def _start(self, children: Children) -> None:
        folder = self._folder
        children.start("broker", self._broker.command)
        children.wait_for_port(self._broker.port, _START_S)
        children.start(
            "simulator",
            agent_command(
                *("simulate", "--script", str(folder / plant.SIMULATOR), "--baud", str(plant.BAUD)),
                *("--link", str(folder / plant.PORT), "--log", str(folder / plant.SERVED)),
            ),
        )
        children.wait_for_path(folder / plant.PORT, _START_S)
        # An id of its own: with the usual one the receiver a person starts beside it would throw it out.
        identity = ("--client-id", "edge-agent-demo", "--protocol", self._broker.protocol)
        receive = agent_command("receive", "--url", self._broker.url, *identity, "--json")
        receiver = children.start("receiver", receive, piped=True)
        assert receiver.stdout is not None
        threading.Thread(target=self._listen, args=(receiver.stdout,), daemon=True).start()
        # The broker keeps messages for a receiver only from its first subscription on.
        children.wait_for_text("receiver", "listening to", _START_S)
        socket = str(folder / plant.SOCKET)
        children.start(
            "agent", agent_command("run", "--config", str(folder / plant.AGENT), "--socket", socket)
        )

    def _listen(self, stream: TextIO) -> None:
        """In a thread of its own: a pipe cannot be waited for together with a queue."""
        with stream:
            for line in stream:
                with suppress(ValueError):
                    self._events.put(json.loads(line))
        self._events.put(None)

    def _watch(self, children: Children, end: MonoNs | None, stop: threading.Event) -> None:
        live_at = self._clock.mono_ns()
        while not stop.is_set() and (end is None or self._clock.mono_ns() < end):
            self._take(0.1)
            if self._clock.mono_ns() >= live_at:
                live_at = MonoNs(live_at + _LIVE_EVERY_NS)
                children.check()
                self._live()

    def _take(self, timeout_s: float) -> bool:
        """One object of the receiver; False when there was none, or it has ended."""
        try:
            event = self._events.get(timeout=timeout_s)
        except queue.Empty:
            return False
        if event is None:
            return False
        self._tally.take(event)
        for line in self._show.lines(event):
            self._say(line)
        return True

    def _live(self) -> None:
        # The agent may not listen yet, or not any more.
        with suppress(EdgeAgentError):
            snapshot = status.fetch(self._folder / plant.SOCKET)
            self._polls = polls(snapshot)
            if any(point["value"] is not None for point in snapshot["points"]):
                self._say(self._show.live(snapshot["points"]))

    def _stop(self, children: Children) -> None:
        """The agent first, so that it sends its rest; then the receiver, when nothing comes any more."""
        with suppress(EdgeAgentError):
            self._polls = polls(status.fetch(self._folder / plant.SOCKET))
        ended = children.stop("agent", _STOP_S)
        if ended != 0:
            raise EdgeAgentError(f"the agent ended with {ended}: see {self._folder / 'agent.log'}")
        quiet_since = self._clock.mono_ns()
        while self._clock.mono_ns() - quiet_since < _QUIET_NS:
            if self._take(0.2):
                quiet_since = self._clock.mono_ns()
        children.stop("receiver", _STOP_S)
        while self._take(0.5):
            pass
        children.stop("simulator", _STOP_S, signal.SIGTERM)


def polls(snapshot: Event) -> int:
    """Requests to devices so far, from an agent's status."""
    devices = [device for bus in snapshot["buses"] for device in bus["devices"]]
    return sum(sum(device["outcomes"].values()) for device in devices)
