"""Reads of single values of one unit on a line, each made at most once. Shell around `bus.line`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from edge_agent.bus.line import Line
from edge_agent.bus.lines.make import make_line
from edge_agent.bus.outcomes import DeviceException, NoReply, PortDown, ReadRequest, Values
from edge_agent.bus.wire.manners import AdaptiveTimeout, Manners
from edge_agent.clock import Clock
from edge_agent.commissioning.identify import Question
from edge_agent.errors import PortError
from edge_agent.model import NS, BusDef, MonoNs, SerialLink, TcpLink

_TIMEOUT_NS = NS
"""For one read: what answered a search answers this, and nobody waits for the others."""
_PATIENCE_NS = 60 * NS
_TRIES = 2
"""Reads of one value: a frame may be lost or garbled."""
_GIVEN_UP = 3
"""Values in a row that nothing came for: the unit has gone, and the rest is not asked."""


class UnitReader:
    """An `identify.Ask` of one unit."""

    def __init__(self, line: Line, unit_id: int, clock: Clock) -> None:
        self._line = line
        self._unit_id = unit_id
        self._clock = clock
        self._known: dict[Question, bytes | None] = {}
        self._silent = 0

    def __call__(self, question: Question) -> bytes | None:
        if question not in self._known:
            self._known[question] = None if self._silent >= _GIVEN_UP else self._read(question)
        return self._known[question]

    def _read(self, question: Question) -> bytes | None:
        request = ReadRequest(0, self._unit_id, question.area, question.address, question.count, ())
        self._silent += 1
        for _ in range(_TRIES):
            (done,) = self._line.run([request], MonoNs(self._clock.mono_ns() + _PATIENCE_NS))
            match done.outcome:
                case Values(data=data):
                    self._silent = 0
                    return data
                case PortDown(reason=reason):
                    hint = "plug it in and begin again"
                    raise self._line.fault or PortError("the port has gone", reason=reason, hint=hint)
                case DeviceException():
                    self._silent = 0
                    break
                case NoReply():
                    pass
                case _:
                    # Something spoke: noise, and no reason to give the unit up.
                    self._silent = 0
        return None


@contextmanager
def opened(link: SerialLink | TcpLink, clock: Clock) -> Iterator[Line]:
    """The line, open; PortError when it cannot be had."""
    manners: Mapping[int, Manners] = {0: Manners(timeout=AdaptiveTimeout(_TIMEOUT_NS))}
    name = link.path if isinstance(link, SerialLink) else link.host
    line = make_line(BusDef(name=name, link=link, timeout_ns=_TIMEOUT_NS), manners, clock)
    try:
        line.open()
        yield line
    finally:
        line.close()
