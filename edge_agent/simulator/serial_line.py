"""A simulated serial line that runs: devices on a pseudo-terminal, one thread. Shell.

`with SimulatedLine([...]) as line:` is what tests use; the command uses the same. The thread waits
in one `select` until a byte comes or one is due, so an idle line costs next to nothing.
"""

from __future__ import annotations

import select
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_agent.clock import Clock
from edge_agent.errors import EdgeAgentError
from edge_agent.model import NS
from edge_agent.simulator.device import SimDevice
from edge_agent.simulator.pace import Chunks, LatenessReport
from edge_agent.simulator.pty_port import PtyPort
from edge_agent.simulator.rtu_line import LineCounts, RtuLine
from edge_agent.simulator.server import Server
from edge_agent.simulator.wire import Timing

_IDLE_S = 0.25
"""How often an idle line looks after a port that a killed program left locked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineStats:
    """What a line did, for the closing report and for tests."""

    counts: LineCounts
    foreign: int
    """Requests to units that are not there."""
    overrun_bytes: int
    lateness: LatenessReport


class SimulatedLine(Server):
    """Devices on a pty. `path` is the port, stable over a replug where `link` is given."""

    def __init__(
        self,
        devices: Iterable[SimDevice],
        *,
        baud: int = 19200,
        bits_per_char: int = 10,
        chunks: Chunks | str = Chunks.FIFO,
        turnaround_ns: int | None = None,
        spin_ns: int = 0,
        strict_baud: bool = False,
        link: Path | None = None,
        log: Path | None = None,
        seed: int = 1,
        clock: Clock | None = None,
    ) -> None:
        self._port = PtyPort(link)
        try:
            super().__init__(devices, seed=seed, log=log, clock=clock)
        except EdgeAgentError:
            self._port.unplug()
            raise
        timing = Timing(baud=baud, bits_per_char=bits_per_char)
        self.line = RtuLine(self.slave, timing, Chunks(chunks), turnaround_ns)
        self._strict_baud = strict_baud
        self._spin_ns = spin_ns
        """Busy waiting before each chunk is due: precise for measurements, and costs that much CPU."""

    @property
    def path(self) -> str:
        return self._port.path

    def stats(self) -> LineStats:
        """So far; may be asked while the line runs."""
        return LineStats(
            counts=self.line.counts,
            foreign=self.slave.foreign,
            overrun_bytes=self._port.overrun_bytes,
            lateness=self.line.lateness.report(),
        )

    def summary(self) -> dict[str, Any]:
        stats = self.stats()
        counts = asdict(stats.counts) | {"foreign": stats.foreign, "overrun_bytes": stats.overrun_bytes}
        if not self.line.counts.has_gap:
            del counts["gap_min_ns"]
        lateness = asdict(stats.lateness) | {"keeps_pace": stats.lateness.keeps_pace}
        return counts | {"lateness": lateness}

    def _unplug(self) -> None:
        if self._port.is_plugged:
            self._close_ports()
            self.note("unplug")

    def _replug(self) -> None:
        if not self._port.is_plugged:
            self._port.plug()
            self.note("replug", detail=self._port.path)

    def _turn(self) -> None:
        due = self.line.next_due()
        wait_s = _IDLE_S if due is None else max(0, due - self._spin_ns - self.clock.mono_ns()) / NS
        ports = [self._port.fileno()] if self._port.is_plugged else []
        ready, _, _ = select.select([self._wake_read, *ports], [], [], min(wait_s, _IDLE_S))
        if self._wake_read in ready:
            self._do_errands()
            return
        if ready:
            now = self.clock.mono_ns()
            self.line.heard(self._sampled(self._port.read()), now, self.clock.wall_ns())
        elif due is None and ports:
            self._port.release_exclusive()
        for chunk in self.line.take(self.clock.mono_ns(), self.clock.wall_ns()):
            # The time before the write: after it the reader may run first, and its next request
            # would seem to come too soon, or its value before it was served.
            now, wall = self.clock.mono_ns(), self.clock.wall_ns()
            whole = self._port.write(chunk.data)
            self.add((self.line.written(chunk, now, wall, whole),))
        self.add(self.line.decided())

    def _sampled(self, data: bytes) -> bytes:
        """What a device makes of `data`: rubbish of about that length where the speed is another."""
        sent_baud, own_baud = self._port.baud(), self.line.timing.baud
        if not self._strict_baud or sent_baud == own_baud:
            return data
        return self.slave.noise(max(1, len(data) * own_baud // max(sent_baud, 1200)))

    def _close_ports(self) -> None:
        self.add(self.line.cut(self.clock.mono_ns(), self.clock.wall_ns()))
        self._port.unplug()
