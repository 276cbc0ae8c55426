"""`run --trace` shows frames and never costs the agent anything."""

from __future__ import annotations

import errno
import io

from edge_agent.bus.wire.trace import Frame
from edge_agent.clock import FakeClock
from edge_agent.daemon import tracer
from edge_agent.daemon.tracer import Tracer
from edge_agent.model import MonoNs, WallNs


class FullDisk(io.StringIO):
    def flush(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def frame(number: int) -> Frame:
    return Frame("line", "->", bytes([number % 256]), MonoNs(number), WallNs(number), 0, 0.0, f"no. {number}")


def test_frames_are_printed_in_order() -> None:
    output = io.StringIO()
    trace = Tracer("line", output, FakeClock())
    for number in range(3):
        trace.take(frame(number))
    trace.drain()
    assert [line.split("[")[1] for line in output.getvalue().splitlines()] == ["no. 0]", "no. 1]", "no. 2]"]


def test_what_the_output_was_too_slow_for_is_said() -> None:
    output = io.StringIO()
    trace = Tracer("line", output, FakeClock())
    for number in range(tracer._CAPACITY + 5):
        trace.take(frame(number))
    trace.drain()
    first, second, *rest = output.getvalue().splitlines()
    assert first.startswith("... 5 frames not shown")
    assert second.endswith("[no. 5]")
    assert len(rest) == tracer._CAPACITY - 1


def test_an_output_that_fails_ends_the_trace_and_nothing_else() -> None:
    trace = Tracer("line", FullDisk(), FakeClock())
    trace.take(frame(1))
    trace.drain()
    trace.take(frame(2))
    trace.drain()
