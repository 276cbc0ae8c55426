"""How one device is talked to: its pauses, and a timeout that follows how fast it really answers.

Pure. One `Manners` per device, used by the line; the figures of the profile's quirks win over the
bus's.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from edge_agent.model import NS, BusDef, DeviceDef, DeviceServerLink, SerialLink

FLOOR_NS = NS // 10
"""No timeout below this: 16 ms of USB latency each way, and a gateway that is busy for a moment."""
_FACTOR = 4
_PROBE_FACTOR = 2
_UNKNOWN = 4
"""A device never heard is probed with this part of its configured timeout."""
_SETTLED = 4
"""Replies in a row before the timeout may shrink."""
_AWAY = 3
"""Late windows without a sound after which a device is away."""
_DECAY_NUM, _DECAY_DEN = 15, 16
"""The slowest reply fades by a sixteenth with each faster one: one slow reply in a hundred is kept."""


class AdaptiveTimeout:
    """Between the floor and the configured timeout: four times the slowest recent reply.

    It only ever shortens what is configured, and one silence puts the configured value back, so a
    device that has become slow is given all its time from the second try on. A probe of a device that
    is away is shorter: what would have sufficed before, or a quarter where nothing is known of it;
    and now and then the whole.
    """

    __slots__ = (
        "_replies", "_slowest", "_sufficed", "average_ns", "configured_ns", "last_ns", "probing", "whole",
    )  # fmt: skip

    def __init__(self, configured_ns: int) -> None:
        self.configured_ns = configured_ns
        self.last_ns = 0
        self.average_ns = 0
        self.probing = False
        """Set while the device is away: it is asked with the short timeout."""
        self.whole = False
        """Set for a probe that is given all its time."""
        self._slowest = 0
        self._replies = 0
        self._sufficed = configured_ns // _UNKNOWN

    @property
    def timeout_ns(self) -> int:
        if self.probing:
            return self.configured_ns if self.whole else self.short_ns
        if self._replies < _SETTLED:
            return self.configured_ns
        return self._bounded(_FACTOR * self._slowest)

    @property
    def short_ns(self) -> int:
        """What a probe of the device is given while it is away."""
        return self._bounded(self._sufficed)

    def replied(self, latency_ns: int) -> None:
        self._replies += 1
        self.last_ns = latency_ns
        self.average_ns += (latency_ns - self.average_ns) // min(self._replies, 16)
        self._slowest = max(latency_ns, self._slowest * _DECAY_NUM // _DECAY_DEN)

    def silent(self) -> None:
        if self._replies:
            self._sufficed = _PROBE_FACTOR * self._slowest
        self._replies = 0
        self._slowest = 0

    def _bounded(self, timeout_ns: int) -> int:
        return min(self.configured_ns, max(FLOOR_NS, timeout_ns))


@dataclass(slots=True)
class Manners:
    """`interframe_ns` None: the line's own."""

    timeout: AdaptiveTimeout = field(default_factory=lambda: AdaptiveTimeout(NS // 2))
    late_window_ns: int | None = None
    turnaround_ns: int = 0
    interframe_ns: int | None = None
    unheard: int = 0
    """Timeouts in a row after which nothing came in the late window either."""
    slow: bool = False
    """It is away because it answers late: its late reply is waited for, whatever came before."""

    def late_ns(self, timeout_ns: int) -> int:
        """How long after a timeout of `timeout_ns` a reply may still come.

        A device that stayed mute through several late windows is away, not late: keeping the line
        silent for it would only take time from the others. Should it come back with a late reply,
        that is one foreign frame to whoever is asked then.
        """
        if self.late_window_ns is not None:
            return self.late_window_ns
        if self.slow:
            return 2 * self.timeout.configured_ns
        return 0 if self.unheard >= _AWAY else 2 * timeout_ns

    @property
    def whole_late_ns(self) -> int:
        """How long after any outcome a reply may still come, by what is configured and not by how fast
        the device has been so far: noise or an adapted timeout may have ended the wait at its beginning."""
        configured_ns = self.timeout.configured_ns
        return configured_ns + (2 * configured_ns if self.late_window_ns is None else self.late_window_ns)


def knows_late_replies(bus: BusDef) -> bool:
    """Modbus TCP numbers its requests: what is late is known as such, and a timeout costs nothing after
    itself. On a serial line, and behind a device server, nothing tells one reply from another."""
    return not isinstance(bus.link, SerialLink | DeviceServerLink)


def manners_of(device: DeviceDef, bus: BusDef) -> Manners:
    quirks = device.quirks
    if knows_late_replies(bus):
        quirks = replace(quirks, late_window_ns=0)
    return Manners(
        timeout=AdaptiveTimeout(quirks.response_timeout_ns or bus.timeout_ns),
        late_window_ns=quirks.late_window_ns,
        turnaround_ns=quirks.turnaround_ns,
        interframe_ns=quirks.interframe_ns,
    )
