"""The counters of the buses: declared here, incremented by each bus's own thread."""

from __future__ import annotations

from edge_agent.bus.line import LineCounts
from edge_agent.bus.wire.overheard import Heard
from edge_agent.counters import Counters, declare

REQUESTS = declare("bus_requests", "requests to a device, by what each came to", "bus", "device", "outcome")
RETRIES = declare("bus_retries", "requests repeated after no reply or a bad frame", "bus", "device")
SKIPPED = declare(
    "bus_polls_skipped", "polls planned but never made, a newer one came first", "bus", "device"
)
SPARED = declare(
    "bus_polls_spared",
    "polls answered without a request: port away, device silent, point refused",
    "bus",
    "device",
)
LANE_ASKED = declare("bus_lane_asked", "reads and probes asked for while the agent runs", "bus")
LANE_REFUSED = declare("bus_lane_refused", "those refused because too many waited", "bus")
LANE_SERVED = declare("bus_lane_served", "those made, whatever they came to", "bus")
LANE_EXPIRED = declare("bus_lane_expired", "those not made, because the line was not free in time", "bus")
_HEARD = {
    name: declare(f"bus_{name}", text, "bus", "device")
    for name, text in {
        "glitched": "good replies of the device's unit id with noise bytes in front",
        "trailed": "good replies of the device's unit id with noise bytes behind",
        "doubled": "second replies of the device's unit id to one request",
        "late": "replies of the device's unit id after their timeout, discarded",
        "out_of_turn_bytes": "bytes heard between a reply of the device and the next request",
    }.items()
}
_OVERHEARD = {
    name: declare(f"bus_{name}", text, "bus")
    for name, text in {
        "resyncs": "times that bytes out of turn had to fall silent before the next request",
        "foreign_requests": "requests heard that are not ours: another master's",
        "foreign_replies": "replies heard of units that were never asked",
    }.items()
}
_LINE = {
    name: declare(f"bus_{name}", text, "bus")
    for name, text in {
        "sent_bytes": "bytes of requests written to the line",
        "heard_bytes": "bytes read from the line",
        "discarded_bytes": "bytes heard out of turn or around a reply",
        "late_replies": "whole replies that came after their timeout, discarded",
        "echoes": "requests the adapter heard itself send",
        "opened": "times the port or connection was opened",
    }.items()
}


class Tally:
    """The counters of one bus."""

    def __init__(self, counters: Counters, bus: str) -> None:
        self._counters = counters
        self._bus = bus

    def request(self, device: str, outcome: str) -> None:
        self._counters.get(REQUESTS, self._bus, device, outcome).add()

    def retry(self, device: str) -> None:
        self._counters.get(RETRIES, self._bus, device).add()

    def skipped(self, device: str, polls: int) -> None:
        self._counters.get(SKIPPED, self._bus, device).add(polls)

    def spared(self, device: str, polls: int) -> None:
        self._counters.get(SPARED, self._bus, device).add(polls)

    def asked(self, refused: bool) -> None:
        """By the thread that serves the command socket."""
        self._counters.get(LANE_ASKED, self._bus).add()
        self._counters.get(LANE_REFUSED, self._bus).add(refused)

    def answered(self, made: bool) -> None:
        self._counters.get(LANE_SERVED if made else LANE_EXPIRED, self._bus).add()

    def line(self, counts: LineCounts) -> None:
        """Take over what the line counted."""
        for name, declaration in _LINE.items():
            self._counters.get(declaration, self._bus).value = getattr(counts, name)
        for name, declaration in _OVERHEARD.items():
            self._counters.get(declaration, self._bus).value = getattr(counts.overheard, name)

    def heard(self, device: str, heard: Heard | None) -> None:
        """Take over what was heard beside the device's replies."""
        for name, declaration in _HEARD.items() if heard else ():
            self._counters.get(declaration, self._bus, device).value = getattr(heard, name)
