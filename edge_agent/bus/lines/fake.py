"""A port and a line that are not there, for tests of whoever stands above them.

`FakePort` answers bytes with bytes in virtual time: a responder gets each request and says what comes
back, when, in which pieces. `FakeLine` answers requests with outcomes. Both move a `FakeClock`; neither
sleeps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from edge_agent.bus.line import Done, LineCounts
from edge_agent.bus.outcomes import Outcome, PortDown, ReadRequest
from edge_agent.bus.wire.manners import Manners
from edge_agent.clock import FakeClock
from edge_agent.errors import PortError
from edge_agent.model import MonoNs

Chunk = tuple[int, bytes | PortError]
"""Nanoseconds after the end of the request on the wire, and what is heard (or how the port fails)."""
Responder = Callable[[bytes], Iterable[Chunk]]


class FakePort:
    """A `port.Port`. `char_ns` 0: bytes take no time on the wire."""

    def __init__(self, clock: FakeClock, respond: Responder, char_ns: int = 0) -> None:
        self._clock = clock
        self._respond = respond
        self._char_ns = char_ns
        self._coming: list[tuple[int, bytes | PortError]] = []
        self.sent: list[tuple[int, bytes]] = []
        """(monotonic ns, request) of each write."""
        self.held = 0
        self.closed = False

    def write(self, data: bytes) -> None:
        now = self._clock.mono_ns()
        self.sent.append((now, data))
        end = now + len(data) * self._char_ns
        self.babble([(end - now + delay, what) for delay, what in self._respond(data)])

    def babble(self, chunks: Iterable[Chunk]) -> None:
        """Bytes that come by themselves, at times from now."""
        now = self._clock.mono_ns()
        self._coming += [(now + delay, what) for delay, what in chunks]
        self._coming.sort(key=lambda chunk: chunk[0])

    def read(self, quiet_until: MonoNs, until: MonoNs) -> bytes:
        self._clock.sleep_until(quiet_until)
        if data := self._arrived():
            return data
        if not self._coming or self._coming[0][0] > until:
            self._clock.sleep_until(until)
            return b""
        self._clock.sleep_until(MonoNs(self._coming[0][0]))
        return self._arrived()

    def unsent(self) -> int:
        return self.held

    def descriptor(self) -> None:
        return None

    def failed(self, code: int) -> PortError:
        raise AssertionError(f"nothing compiled runs on a fake port, yet it met errno {code}")

    def close(self) -> None:
        self.closed = True

    def _arrived(self) -> bytes:
        heard = b""
        while self._coming and self._coming[0][0] <= self._clock.mono_ns():
            what = self._coming.pop(0)[1]
            if isinstance(what, PortError):
                raise what
            heard += what
        return heard


class FakeLine:
    """A `line.Line`. `answer` makes the outcome; each request takes `cost_ns` of virtual time.

    Set `broken` to a PortError to take the port away, to None to plug it in again.
    """

    def __init__(
        self,
        clock: FakeClock,
        answer: Callable[[ReadRequest], Outcome],
        manners: Mapping[int, Manners],
        cost_ns: int = 10_000_000,
    ) -> None:
        self._clock = clock
        self._answer = answer
        self._cost_ns = cost_ns
        self._open = False
        self.broken: PortError | None = None
        self.fault: PortError | None = None
        self.counts = LineCounts()
        self.manners = manners
        self.plans: list[list[ReadRequest]] = []
        self.asked: list[tuple[int, ReadRequest]] = []
        """(monotonic ns, request) of each request made."""

    @property
    def is_open(self) -> bool:
        return self._open

    def open(self) -> None:
        if self.broken is not None:
            self.fault = self.broken
            raise self.broken
        if not self._open:
            self._open = True
            self.fault = None
            self.counts.opened += 1

    def close(self) -> None:
        self._open = False

    def run(self, plan: Sequence[ReadRequest], deadline: MonoNs) -> list[Done]:
        self.plans.append(list(plan))
        done = []
        for request in plan:
            now = self._clock.mono_ns()
            if now >= deadline:
                break
            if self._open and self.broken is not None:
                self.fault = self.broken
                self._open = False
            if not self._open:
                reason = self.fault.reason if self.fault else "missing"
                done.append(Done(PortDown(reason), now, 0))
                continue
            self.asked.append((now, request))
            self._clock.advance(self._cost_ns)
            outcome = self._answer(request)
            done.append(Done(outcome, self._clock.mono_ns(), self._cost_ns))
        return done
