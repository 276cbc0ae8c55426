"""A search for devices as a state machine without a port and without a clock.

    next() -> Probe            ask this unit at this speed, and wait so long
           -> None             it is over
    note(probe, outcome, ...)  what came of it

The order: the first few unit ids at every speed and format, because most devices still have a low one;
then the others. What answers at all, exceptions included, is there. Once something answers, the other
settings are dropped, unless all of them are asked for: a line has one speed.

A search that gave every absent unit the time that a slow device takes would last for hours. So each is
asked with a short timeout, and whatever is heard besides (a frame of a unit that was given up, rubbish
of a reply that met the next request) makes it ask those again with a long one. Invariant: every unit is
asked at every setting that was not dropped; none is asked more than `TRIES` times.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge_agent.bus.outcomes import BadFrame, DeviceException, Outcome, Values, is_alive
from edge_agent.bus.scan.settings import Setting
from edge_agent.bus.scan.sounds import SILENCE, Sounds
from edge_agent.bus.scan.unit import TRIES, Probe, Unit
from edge_agent.bus.wire.frames import REQUEST_LENGTH
from edge_agent.bus.wire.timing import rtu_timing
from edge_agent.model import NS

SHORT_NS = 60 * NS // 1000
LONG_NS = 400 * NS // 1000
_ADAPTED_NS = 150 * NS // 1000
"""The short timeout never grows beyond this: slower devices are found by their late replies."""
_LIKELY = 10
"""Unit ids asked at every setting before the rest is asked at any."""
_GLITCH_BYTES = 2
"""So few bytes are no part of a reply but the line itself: without bias it shows one or two when a
driver turns round."""
_LOUD = 8
"""Requests in a row that met rubbish: somebody talks all the time, and asking on is pointless."""
_OVERHEAD_NS = 2_000_000
"""Of a request beside the wire and the wait: two system calls, a wake-up, an adapter's way."""
_SWITCH_NS = 60_000_000
"""Closing the port, opening it, and listening before the first request."""


@dataclass(slots=True)
class _Group:
    setting: Setting | None
    units: deque[int]


class Scan:
    """`settings` and `units` in the order in which they are to be tried. `[None]`: by TCP."""

    def __init__(
        self,
        settings: Sequence[Setting | None],
        units: Sequence[int],
        *,
        short_ns: int = SHORT_NS,
        long_ns: int = LONG_NS,
        every_setting: bool = False,
    ) -> None:
        self._short_ns = short_ns
        self._long_ns = max(short_ns, long_ns)
        self._every_setting = every_setting
        self._all_units = tuple(units)
        self._units: dict[tuple[Setting | None, int], Unit] = {}
        first, rest = self._all_units[:_LIKELY], self._all_units[_LIKELY:]
        parts = (first, rest) if len(settings) > 1 else (self._all_units,)
        self._groups = deque(_Group(setting, deque(part)) for part in parts for setting in settings if part)
        self._again: deque[int] = deque()
        """Unit ids of the present setting to be asked with the long timeout."""
        self._recent: deque[int] = deque(maxlen=max(1, -(-self._long_ns // max(1, short_ns))))
        """Who may still answer late."""
        self._loud = 0
        self.asked = 0
        self.masters: Counter[int] = Counter()
        """Unit ids that somebody else asked."""
        self.loud: list[Setting | None] = []
        """Settings given up because of rubbish without end."""
        self.rubbish: Counter[Setting | None] = Counter()
        """Bytes that made no frame, by setting."""
        self.glitches = 0
        """Requests that one or two bytes came back to."""
        self.gateway = 0
        """Requests a gateway answered in the place of a unit that is not there."""
        self.refused: dict[Setting | None, str] = {}
        """Settings that the port does not have, and what it said."""
        self.tried: list[Setting | None] = []

    # --- what to do -------------------------------------------------------------------------

    def next(self) -> Probe | None:
        """What to ask now; None when everything is known."""
        while self._groups:
            group = self._groups[0]
            if self._again:
                return Probe(group.setting, self._again.popleft(), self._long_ns)
            if group.units:
                unit_id = group.units.popleft()
                # During the last one's wait the late replies to those before it are heard.
                is_last = not group.units
                return Probe(group.setting, unit_id, self._long_ns if is_last else self._short_ns)
            self._groups.popleft()
            self._recent.clear()
            self._loud = 0
        return None

    def note(self, probe: Probe, outcome: Outcome, sounds: Sounds = SILENCE) -> None:
        """What came of `probe`, and what was heard since the one before."""
        self._begin(probe.setting)
        self.asked += 1
        unit = self._unit(probe.setting, probe.unit_id)
        unit.asked += 1
        if isinstance(outcome, Values | DeviceException) and is_alive(outcome):
            self._found(unit, outcome)
        elif isinstance(outcome, DeviceException):
            self.gateway += 1
        self._hear(probe, outcome, sounds)
        if unit.is_found and self._groups and not self._groups[0].units:
            # It answered at once, so nobody waited for the slow ones before it.
            self._ask_again(one for one in self._recent if not self._unit(probe.setting, one).is_found)
        self._recent.append(probe.unit_id)

    def refuse(self, setting: Setting | None, why: str) -> None:
        """The port does not have this setting."""
        self.refused[setting] = why
        self._drop(setting)

    # --- what is known ----------------------------------------------------------------------

    @property
    def found(self) -> list[Unit]:
        return sorted(
            (unit for unit in self._units.values() if unit.is_found),
            key=lambda unit: (self.tried.index(unit.setting), unit.unit_id),
        )

    @property
    def is_hopeless(self) -> bool:
        """The port has none of the settings: it is no serial port."""
        return not self._groups and not self.asked

    @property
    def unclear(self) -> list[Unit]:
        return [unit for unit in self._units.values() if unit.is_unclear]

    @property
    def remaining_ns(self) -> int:
        """Time that is left if nobody else answers: an upper bound but for what must be asked again."""
        left = sum(len(group.units) * self._cost_ns(group.setting, self._short_ns) for group in self._groups)
        switches = len({id(group) for group in self._groups if group.units}) * (_SWITCH_NS + self._long_ns)
        again = len(self._again) * self._cost_ns(self._present(), self._long_ns) if self._again else 0
        return left + switches + again

    # --- inside -----------------------------------------------------------------------------

    def _present(self) -> Setting | None:
        return self._groups[0].setting if self._groups else None

    def _begin(self, setting: Setting | None) -> None:
        if setting not in self.tried:
            self.tried.append(setting)

    def _unit(self, setting: Setting | None, unit_id: int) -> Unit:
        return self._units.setdefault((setting, unit_id), Unit(setting, unit_id))

    def _found(self, unit: Unit, outcome: Values | DeviceException) -> None:
        unit.answers.append(outcome)
        # Twice as long as the slowest so far: the next one may be of the same make.
        self._short_ns = max(self._short_ns, min(_ADAPTED_NS, self._long_ns, 2 * outcome.latency_ns))
        if len(unit.answers) > 1:
            return
        # Asked once more: two devices with one unit id do not garble each other every time.
        self._ask_again([unit.unit_id])
        if not self._every_setting:
            self._settle(unit.setting)

    def _settle(self, setting: Setting | None) -> None:
        """This is the line's speed: the rest of the units here, and no other setting."""
        if len(self._groups) > 1:
            unasked = [one for one in self._all_units if (setting, one) not in self._units]
            self._groups = deque([_Group(setting, deque(unasked))])

    def _hear(self, probe: Probe, outcome: Outcome, sounds: Sounds) -> None:
        self.masters.update(sounds.requests)
        for unit_id in sounds.units:
            in_time = unit_id == probe.unit_id and isinstance(outcome, Values | DeviceException)
            self._overhear(probe, unit_id, in_time)
        junk = sounds.junk or (outcome.heard if isinstance(outcome, BadFrame) and not sounds.units else 0)
        if junk <= _GLITCH_BYTES:
            self.glitches += junk > 0
            self._loud = 0
            return
        self.rubbish[probe.setting] += junk
        unit = self._unit(probe.setting, probe.unit_id)
        unit.rubbish += not sounds.units
        self._loud = 0 if sounds.units else self._loud + 1
        if self._loud >= _LOUD:
            self.loud.append(probe.setting)
            self._drop(probe.setting)
        else:
            # It may have been a late reply that met this request.
            self._ask_again([*self._recent, probe.unit_id])

    def _overhear(self, probe: Probe, unit_id: int, in_time: bool) -> None:
        unit = self._units.get((probe.setting, unit_id))
        if unit is None:
            # Nobody asked it: a second master did.
            self.masters[unit_id] += 1
            return
        unit.frames += 1
        if not unit.is_found and not in_time:
            self._ask_again([unit_id])

    def _ask_again(self, unit_ids: Iterable[int]) -> None:
        setting = self._present()
        for unit_id in unit_ids:
            unit = self._unit(setting, unit_id)
            pending = self._again.count(unit_id)
            if not pending and len(unit.answers) < 2 and unit.asked < TRIES:
                self._again.append(unit_id)

    def _drop(self, setting: Setting | None) -> None:
        self._again.clear()
        self._groups = deque(group for group in self._groups if group.setting != setting)
        self._recent.clear()
        self._loud = 0

    @staticmethod
    def _cost_ns(setting: Setting | None, timeout_ns: int) -> int:
        if setting is None:
            return timeout_ns + _OVERHEAD_NS
        timing = rtu_timing(setting.link(""))
        return timing.wire_ns(REQUEST_LENGTH) + timeout_ns + timing.interframe_ns + _OVERHEAD_NS
