"""An agent without lines: the real record writer, the real spool on a disk, losses declared."""

from __future__ import annotations

import threading
from pathlib import Path
from random import Random

from edge_agent.counters import Counters
from edge_agent.model import MonoNs
from edge_agent.records.values import Recovery
from edge_agent.records.writer import RecordWriter
from edge_agent.spool import Limits, Spool
from edge_agent.uplink.outbox import SpoolOutbox
from tests.contract.agent_records import BOOT, alarm, sample, small_site, stamp


class StoredAgent:
    """The calling thread is the spool's writer thread; a sender may read beside it."""

    def __init__(self, path: Path, epoch: bytes = b"\x01" * 8, previous: Recovery | None = None) -> None:
        self.counters = Counters()
        self.spool = Spool(path, epoch, limits=Limits(min_free_bytes=0), counters=self.counters)
        self.outbox = SpoolOutbox(self.spool)
        self.writer = RecordWriter(small_site(), epoch, boot_id=BOOT, counters=Counters())
        self._number = 0
        self._store(self.writer.start(stamp(), previous or self.spool.recovery))
        # START is not sent before it is durable.
        self.turn()

    def samples(self, count: int) -> None:
        """So many records of one value each: 1, 2, 3 ..."""
        for _ in range(count):
            self._number += 1
            self._store(self.writer.add([sample(self._number, self._number)], stamp(self._number)))
            self._store(self.writer.flush(stamp(self._number), stamp(self._number).wall_ns))
        self.turn()

    def large_record(self) -> None:
        """One of some kilobytes: of values that nothing foresees."""
        random = Random(1)
        values = [random.randrange(1 << 16) for _ in range(2000)]
        self._store(self.writer.add([sample(value, 0) for value in values], stamp(0)))
        self._store(self.writer.flush(stamp(0), stamp(0).wall_ns))
        self.turn()

    def alarm(self, active: bool) -> None:
        self._number += 1
        self._store(self.writer.add([alarm(active, self._number)], stamp(self._number)))
        self.turn()

    def turn(self) -> None:
        """What the spool's and the pipeline's threads do again and again: commit, and declare."""
        self.spool.commit(MonoNs(0))
        if losses := self.spool.take_losses():
            self._store(self.writer.gaps(losses, stamp(self._number)))
            self.spool.commit(MonoNs(0))

    @property
    def records(self) -> int:
        """Made in this run."""
        return sum(self.outbox.tails().values())

    def unacked(self) -> int:
        return sum(self.spool.stats().unacked.values())

    def close(self) -> None:
        self.spool.close(MonoNs(0))

    def __enter__(self) -> StoredAgent:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _store(self, items: object) -> None:
        assert threading.current_thread() is threading.main_thread()
        self.spool.append(items)  # type: ignore[arg-type]
