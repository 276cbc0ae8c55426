"""A progress bar with an estimate on a terminal, plain lines elsewhere. Knows nothing of the work."""

from __future__ import annotations

import shutil
from typing import TextIO

from edge_agent.clock import Clock
from edge_agent.model import NS

_REDRAW_NS = NS // 10
_BAR = 24


class Progress:
    """On `stream`, stderr as a rule: what goes to stdout is data."""

    def __init__(self, stream: TextIO, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock
        self._live = stream.isatty()
        self._begun = clock.mono_ns()
        self._drawn_at = clock.mono_ns() - _REDRAW_NS
        self._drawn = False

    def show(self, remaining_ns: int, text: str) -> None:
        """On a terminal: the bar, at most ten times a second. `remaining_ns` is an estimate."""
        now = self._clock.mono_ns()
        if not self._live or now - self._drawn_at < _REDRAW_NS:
            return
        self._drawn_at = now
        self._draw(bar(now - self._begun, remaining_ns, text))

    def say(self, line: str) -> None:
        """A line that stays."""
        self.clear()
        print(line, file=self._stream, flush=True)

    def clear(self) -> None:
        if self._drawn:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._drawn = False

    def _draw(self, line: str) -> None:
        columns = shutil.get_terminal_size().columns
        self._stream.write("\r\x1b[K" + line[: columns - 1])
        self._stream.flush()
        self._drawn = True


def bar(spent_ns: int, remaining_ns: int, text: str) -> str:
    """`[######..................]  25 %  about 1 min 40 s left  TEXT`"""
    whole = max(1, spent_ns + remaining_ns)
    filled = min(_BAR, _BAR * spent_ns // whole)
    share = min(100, 100 * spent_ns // whole)
    return f"[{'#' * filled:.<{_BAR}}] {share:3d} %  {duration(remaining_ns)} left  {text}"


def duration(ns: int) -> str:
    """`about 3 s`, `about 2 min 5 s`, `about 1 h 10 min`."""
    seconds = -(-ns // NS)
    if seconds < 60:
        return f"about {seconds} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"about {minutes} min" + (f" {seconds} s" if seconds else "")
    hours, minutes = divmod(minutes, 60)
    return f"about {hours} h" + (f" {minutes} min" if minutes else "")
