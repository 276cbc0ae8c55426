"""A gateway that lives, dies and lives again, without threads: pipeline, spool writer and spool on fake
files under a virtual clock, and a receiver that takes what may be sent.

Every poll reads a number one higher than the poll before, from all points alike, so that a summary's first
and last value say which polls are in it.
"""

from __future__ import annotations

from dataclasses import replace

from edge_agent.clock import FakeClock, boot_id
from edge_agent.counters import Counters
from edge_agent.daemon.heritage import Heritage, Store
from edge_agent.daemon.intake import Intake
from edge_agent.daemon.pipeline import Pipeline
from edge_agent.kernels import load
from edge_agent.model import NS, Site
from edge_agent.process.stage import Stage
from edge_agent.records.checkpoint import Checkpoint
from edge_agent.records.decode import Decoder, SummaryRows
from edge_agent.records.events import Start
from edge_agent.records.values import STREAMS
from edge_agent.records.writer import RecordWriter
from edge_agent.spool import Limits, Spool
from edge_agent.spool.checkpoints import NAMES
from edge_agent.spool.fake_files import FakeFiles
from edge_agent.spool.writer import SpoolWriter
from edge_agent.uplink.outbox import Ref, SpoolOutbox
from tests.unit.process.sites import T0, block, f64, request
from tests.unit.spool.rig import ROOT, epoch

HOUR = 3600 * NS
KERNELS = load("python")
BEGIN = T0 - T0 % HOUR


class Gateway:
    def __init__(self, site: Site, files: FakeFiles | None = None) -> None:
        self.site = site
        self.files = files or FakeFiles()
        self.clock = FakeClock(mono_ns=0, wall_ns=BEGIN)
        self.counters = Counters()
        self.received: dict[Ref, bytes] = {}
        self.polls: dict[int, int] = {}
        """Wall time of each poll by its number."""
        self.number = 0
        self.checkpoints: list[Checkpoint] = []
        """As they were handed to the spool."""
        self.lost_polls = 0
        """Of the last run that was killed: polls behind its last checkpoint."""
        self.first_until = 0

    # --- lives ----------------------------------------------------------------------------------

    def start(self) -> None:
        self.number += 1
        self.spool = Spool(
            ROOT,
            epoch(self.number),
            limits=Limits(min_free_bytes=0),
            counters=self.counters,
            files=self.files,
        )
        self._intake = Intake(self.clock, self.counters)
        now = self.clock.mono_ns(), self.clock.wall_ns()
        self.first_until = self.first_until or now[1]
        self._pipeline = Pipeline(
            stage=Stage.build(self.site, 1, KERNELS, *now, counters=self.counters),
            writer=RecordWriter(self.site, epoch(self.number), boot_id=boot_id(), counters=self.counters),
            intake=self._intake,
            submit=lambda items: self._writer.put(items),
            alarm_changed=lambda _: None,
            settled=self.clock.mono_ns,
            clock=self.clock,
            flush_ns=NS,
            heritage=Heritage(self.site, self._store(), self.counters),
        )
        self._outbox = SpoolOutbox(self.spool)
        self._writer = SpoolWriter(
            self.spool, self.clock, self.counters, commit_ns=NS, on_new=self._receive,
            on_losses=self._pipeline.lost,
        )  # fmt: skip
        self._pipeline.open(self.spool.recovery)
        # The spool's thread starts before those of the buses: START is durable before there is a poll.
        self._writer.turn(self.clock.mono_ns())
        self._receive()

    def _store(self) -> Store:
        return Store(
            keep=self._keep,
            keep_now=self.spool.keep_windows,
            works=lambda: self.spool.keeps_windows,
            found=self.spool.windows,
            damaged=self.spool.windows_damaged,
            births={birth.dict_hash for birth in self.spool.births()},
        )

    def _keep(self, data: bytes) -> None:
        self.checkpoints.append(Checkpoint.decode(data))
        self._writer.keep_windows(data)

    def kill(self) -> None:
        """SIGKILL: what the threads held is gone, what the system has stays."""
        if self.checkpoints:
            until = self.checkpoints[-1].snapshot.until_ns
            self.lost_polls = sum(t > until for t in self.polls.values())
        self.files.kill()

    def stop(self) -> None:
        self._pipeline._turn(0)
        self._pipeline._close()
        self.end_spool()

    def end_spool(self) -> None:
        self._writer.commit_next()
        self._writer.turn(self.clock.mono_ns())
        self._receive()
        self.spool.close(self.clock.mono_ns())

    # --- time -----------------------------------------------------------------------------------

    def turn(self) -> None:
        self._pipeline._turn(0)
        self._writer.turn(self.clock.mono_ns())
        self._receive()

    def poll_for(self, seconds: int) -> None:
        """One poll of every point a second."""
        read = request(self.site, *range(len(self.site.points)))
        for _ in range(seconds):
            self.clock.advance(NS)
            value = len(self.polls) + 1
            self.polls[value] = self.clock.wall_ns()
            event = block(read, f64(*[value] * len(self.site.points)), self.clock.mono_ns() / NS)
            self._intake.put(replace(event, wall_ns=self.clock.wall_ns(), mono_ns=self.clock.mono_ns()))
            self.turn()

    def pass_time(self, seconds: int) -> None:
        self.clock.advance(seconds * NS)

    # --- trouble --------------------------------------------------------------------------------

    def fail_checkpoints(self) -> None:
        self.files.fail = lambda _operation, path: 5 if path.name in NAMES else 0

    def damage_checkpoints(self) -> None:
        for name in NAMES:
            if ROOT / name in self.files.paths():
                self.files.flip(ROOT / name, 20 * 8)

    def forget_births(self) -> None:
        for path in self.files.paths():
            if path.parent.name == "births":
                self.files.unlink(path)

    # --- the receiver ---------------------------------------------------------------------------

    def _receive(self) -> None:
        """Everything that may be sent, as soon as it may be."""
        for stream in STREAMS:
            for seq in range(1, self._outbox.tails()[stream] + 1):
                ref = Ref(self.spool.epoch, stream, seq)
                if ref not in self.received and (data := self._outbox.read(ref)) is not None:
                    self.received[ref] = data

    def drain(self) -> None:
        """What earlier runs left."""
        for run in self._outbox.unacked():
            for seq in range(run.first, run.last + 1):
                ref = Ref(run.epoch, run.stream, seq)
                if (data := self._outbox.read(ref)) is not None:
                    assert self.received.get(ref, data) == data
                    self.received[ref] = data

    def _bodies(self) -> list[object]:
        decoder = Decoder()
        events = [data for ref, data in self.received.items() if ref.stream == "event"]
        for data in events:
            decoder.decode(data)
        return [decoder.decode(data).body for data in self.received.values()]

    def received_summaries(self) -> list[SummaryRows]:
        return [body for body in self._bodies() if isinstance(body, SummaryRows)]

    def starts(self) -> list[Start]:
        return [body for body in self._bodies() if isinstance(body, Start)]

    def counted(self, name: str) -> int:
        return sum(value for one, _, value in self.counters if one == name)
