"""When the running window is over. Pure: times in, decisions out.

Window k covers [k*window, (k+1)*window) of wall time, and a value belongs to the window its wall time
falls into. There is one running window. It ends

* when an event lies outside it, later or earlier: the clock went on, or it jumped. What was collected
  so far is a window at once, and the window that holds the event's wall time begins. So a jump, however
  far, loses nothing and doubles nothing: each value is in exactly one window, under the wall time it
  was read at. After a jump back the same window may come twice, with different values;
* when a tick finds that its end passed `LATE_NS` ago, or that the clock is before its start.

An event older (by the monotonic clock) than the beginning of the running window is a straggler: another
bus was faster, and the window it belongs to is gone. It counts in the running window. `LATE_NS` makes
that rare: an event needs far less to come from its bus.

A window that ran for a part of its time (the first, the last, one cut by a jump) keeps its aligned bounds;
its counts say how much was seen.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.model import MonoNs, WallNs

LATE_NS = 50_000_000


@dataclass(frozen=True, slots=True)
class Span:
    """The running window."""

    window_ns: int
    t0_ns: WallNs
    t1_ns: WallNs
    begun_ns: MonoNs
    """When it became the running one."""

    @classmethod
    def at(cls, window_ns: int, mono_ns: MonoNs, wall_ns: WallNs) -> Span:
        """The window of `window_ns` that holds `wall_ns`, running from `mono_ns` on."""
        t0 = wall_ns - wall_ns % window_ns
        return cls(window_ns, WallNs(t0), WallNs(t0 + window_ns), mono_ns)

    def is_left_by(self, mono_ns: MonoNs, wall_ns: WallNs) -> bool:
        """Whether an event at these times ends this window."""
        return mono_ns >= self.begun_ns and not self.t0_ns <= wall_ns < self.t1_ns

    def is_over(self, wall_ns: WallNs) -> bool:
        """Whether a tick at `wall_ns` ends this window."""
        return wall_ns < self.t0_ns or wall_ns >= self.t1_ns + LATE_NS

    def next_tick(self, wall_ns: WallNs) -> WallNs:
        """When `is_over` is worth asking again; `wall_ns` itself if it is true already."""
        return wall_ns if self.is_over(wall_ns) else WallNs(self.t1_ns + LATE_NS)
