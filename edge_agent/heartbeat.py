"""How a thread shows that it lives: its loop turns, or it is inside a named call with a bound.

The watchdog asks `overdue(now)`: a slow disk inside "fdatasync" (bound 60 s) is degraded, not dead;
a loop that stopped turning is dead. One thread writes, any thread reads; the state is one tuple that
is replaced, so no lock is needed.
"""

from __future__ import annotations

from edge_agent.clock import Clock
from edge_agent.model import NS, MonoNs


class Heartbeat:
    """One per thread. `limit_ns` bounds the time between two turns of its loop."""

    def __init__(self, name: str, clock: Clock, limit_ns: int = 10 * NS) -> None:
        self.name = name
        self._clock = clock
        self._limit_ns = limit_ns
        self._state: tuple[str, MonoNs, int] = ("starting", clock.mono_ns(), limit_ns)

    def turn(self) -> None:
        """The loop went round once more."""
        self._state = ("loop", self._clock.mono_ns(), self._limit_ns)

    def call(self, name: str, bound_ns: int) -> _Call:
        """Around a call that may block for up to `bound_ns` (a disk, a name server)."""
        self._state = (name, self._clock.mono_ns(), bound_ns)
        return _Call(self)

    def overdue(self, now: MonoNs) -> str:
        """Empty while the thread is alive, else what it is stuck in and for how long."""
        name, since, bound_ns = self._state
        if now - since <= bound_ns:
            return ""
        return f"{self.name}: in {name} for {(now - since) / NS:.0f} s, bound {bound_ns / NS:.0f} s"

    @property
    def inside(self) -> str:
        """Where the thread is: `loop`, or the name of the call it is in."""
        return self._state[0]


class _Call:
    """The way out of a call. No generator: the bus goes through here with every request."""

    __slots__ = ("_heartbeat",)

    def __init__(self, heartbeat: Heartbeat) -> None:
        self._heartbeat = heartbeat

    def __enter__(self) -> None:
        return

    def __exit__(self, *_error: object) -> None:
        self._heartbeat.turn()
