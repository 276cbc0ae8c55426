"""What the person at the demo sees: the receiver's objects as a few readable lines. Pure."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

BOLD, RED, GREEN, DIM, PLAIN = "\x1b[1m", "\x1b[31;1m", "\x1b[32;1m", "\x1b[2m", "\x1b[0m"
_SHOWN = ("meter.v_l1", "meter.i_l1", "meter.p", "press.pressure", "press.strokes")


class Show:
    """Turns events into lines."""

    def __init__(self, *, colours: bool) -> None:
        self._colours = colours

    def lines(self, event: Mapping[str, Any]) -> Iterator[str]:
        """The lines one object of the receiver is worth: alarms, gaps, starts, one summary a window."""
        match event.get("kind"):
            case "alarm" if not event.get("repeated"):
                yield self._alarm(event)
            case "gap":
                yield self._paint(RED, f"  gap       {dict(event)}")
            case "start":
                yield f"  start     epoch {event.get('epoch')}: the agent begins to observe"
            case "summary" if f"{event['device']}.{event['point']}" == "meter.p":
                yield (
                    f"  summary   meter.p  {_clock(event['t0'])} to {_clock(event['t1'])}:"
                    f" mean {_number(event['mean'])} {event['unit']},"
                    f" min {_number(event['min'])}, max {_number(event['max'])},"
                    f" {event['count']} values, {event['bad']} bad, {event['missing']} missing"
                )

    def live(self, points: Sequence[Mapping[str, Any]]) -> str:
        """One line of present values from the agent's status."""
        by_name = {f"{point['device']}.{point['point']}": point for point in points}
        cells = [
            f"{name} {_number(point['value'])} {point['unit']}".rstrip()
            for name in _SHOWN
            if (point := by_name.get(name)) is not None and point["value"] is not None
        ]
        return "  live      " + "   ".join(cells)

    def _alarm(self, event: Mapping[str, Any]) -> str:
        raised = event["state"] == "active"
        value = "" if event.get("value") is None else f" at {_number(event['value'])}"
        text = f"  ALARM     {event['name']} {'raised' if raised else 'cleared'}{value} ({event['severity']})"
        return self._paint(RED if raised else GREEN, text)

    def _paint(self, colour: str, text: str) -> str:
        return f"{colour}{text}{PLAIN}" if self._colours else text


def _number(value: float | str | None) -> str:
    if value is None or isinstance(value, str):
        return str(value)
    return str(value) if isinstance(value, int) else f"{value:.5g}"


def _clock(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds))
