"""A random life of a spool on a disk that fails and loses power, and a ledger that says what must be left.

The ledger knows what the spool was given, what it may rely on (a commit that worked, a process that was
only killed), what a receiver has got, and which losses GAP records declare. After every run: a record the
spool could be relied on for is stored, was received, or is declared lost; nothing stored is altered or
there twice; and nothing is declared damaged that was safe.
"""

from __future__ import annotations

import contextlib
import errno
import random
from dataclasses import replace
from pathlib import Path

from edge_agent.model import NS, MonoNs, WallNs
from edge_agent.records import codec
from edge_agent.records.bodies import Alarm
from edge_agent.records.envelope import Envelope
from edge_agent.records.events import Gap
from edge_agent.records.values import STREAMS, EncodedRecord, Kind, Loss, Mark, Stamp
from edge_agent.spool import Spool
from edge_agent.spool.fake_files import FakeFiles, PowerCut
from tests.unit.spool.rig import T0, drain, epoch, lost, open_spool, record

Key = tuple[bytes, str, int]
ERRORS = (errno.EIO, errno.ENOSPC, errno.EROFS, errno.EMFILE)
HASHES = (b"d" * 8, b"e" * 8)


class Life:
    """Several runs on one disk."""

    def __init__(self, seed: int, *, failing: float = 0.0, capacity: int = 1 << 40, **limits: int) -> None:
        self.rng = random.Random(seed)
        self.files = FakeFiles(seed, capacity)
        self.failing = failing
        self.limits = {"max_bytes": 500_000, "keep_bytes": 150_000, "max_age_ns": NS, **limits}
        self.number = 0
        self.given: set[Key] = set()
        self.durable: set[Key] = set()
        self.cached: set[Key] = set()
        """What killed runs left to the system: safe until the power goes, or for good once a run found it."""
        self.received: set[Key] = set()
        self.told: dict[Key, Loss] = {}
        """What each GAP record declares."""
        self.purged: set[Key] = set()
        self.faults = 0
        self.fail_once: tuple[int, int] | None = None
        """At which operation, with which errno, beside what fails at random."""
        self.ended: dict[tuple[bytes, str], int] = {}
        """What a START says was left of the epoch before it."""

    def run(self, steps: int, cut_at: int | None = None) -> None:
        """One run; it ends by itself, by a kill, or by a power cut at an operation."""
        self.number += 1
        self.files.fail = self._fail
        self.files.cut_at = None if cut_at is None else self.files.operations + cut_at
        run = _Run(self)
        try:
            run.live(steps)
        except PowerCut:
            self.files.fail = lambda _operation, _path: 0
            self.files.crash()
            self.cached.clear()
        else:
            self.files.fail = lambda _operation, _path: 0
            self.files.cut_at = None
            if self.rng.random() < 0.5:
                run.end()
            self.files.kill()
            # A killed process loses nothing it handed to the system.
            if not run.in_memory:
                self.cached |= run.appended

    def _fail(self, _operation: str, _path: Path) -> int:
        if self.fail_once and self.files.operations == self.fail_once[0]:
            self.faults += 1
            return self.fail_once[1]
        if self.failing and self.rng.random() < self.failing:
            self.faults += 1
            return self.rng.choice(ERRORS)
        return 0

    def check(self) -> None:
        """Open on a disk that works, and account for everything."""
        self.number += 1
        spool = open_spool(self.files, self.number, **self.limits)  # type: ignore[arg-type]
        found: list[Key] = []
        for stream in STREAMS:
            found += [(which, stream, seq) for which, seq in drain(spool, stream, ack=False)]
        assert len(found) == len(set(found)), "a record is there twice"
        assert set(found) <= self.given, "a record is there that nobody gave"
        undeclared = spool.take_losses()
        declared = lost(undeclared)
        self.durable |= self.cached
        self.note_end(spool)
        damaged = lost([loss for loss in undeclared if loss.reason == "corrupt"])
        told = self._told_by(set(found) | self.received | self._unreadable(damaged))
        missing = self.durable - set(found) - self.received - declared - told - self._interrupted()
        assert not missing, f"neither there nor declared: {sorted(missing)[:5]}"
        if not self.faults:
            assert not damaged & self.durable, "declared damaged although it was safe"
        referred = {s.dict_hash for log in spool._logs.values() for s in log.segments if not s.gone}
        assert referred - {b"", None} <= {birth.dict_hash for birth in spool.births()}
        for seq, loss in enumerate(undeclared, 1):
            self._tell(spool, seq, loss)
        spool.close(MonoNs(0))

    def note_end(self, spool: Spool) -> None:
        if spool.recovery.epoch:
            for stream, last in spool.recovery.last.items():
                self.ended.setdefault((spool.recovery.epoch, stream), last)

    def _interrupted(self) -> set[Key]:
        """What START declares: it knows no better where the newest file could not be read, and only there."""
        if not self.faults:
            return set()
        return {key for key in self.durable if key[2] > self.ended.get(key[:2], 1 << 62)}

    def _unreadable(self, damaged: set[Key]) -> set[Key]:
        """GAP records that a disk no longer reads take with them what they declared: nobody can know it."""
        return damaged | self._interrupted() if self.faults else set()

    def _told_by(self, known: set[Key]) -> set[Key]:
        """What these GAP records declare, and those they declare unreadable."""
        seen: set[Key] = set()
        losses: list[Loss] = []
        while new := known & self.told.keys() - seen:
            seen |= new
            told = [self.told[key] for key in new]
            losses += told
            known = self._unreadable(lost([loss for loss in told if loss.reason == "corrupt"]))
        return lost(losses)

    def _tell(self, spool: Spool, seq: int, loss: Loss) -> None:
        made = record(seq, "event", number=self.number, declares=loss)
        self.given.add((made.epoch, "event", seq))
        self.told[made.epoch, "event", seq] = loss
        spool.append([made])
        self.durable.add((made.epoch, "event", seq))


class _Run:
    def __init__(self, life: Life) -> None:
        self.life = life
        self.rng = life.rng
        self.appended: set[Key] = set()
        self.seq = dict.fromkeys(STREAMS, 0)
        self.second = 0
        self.in_memory = False

    def live(self, steps: int) -> None:
        faults = self.life.faults
        self.spool = open_spool(self.life.files, self.life.number, **self.life.limits)  # type: ignore[arg-type]
        self.life.note_end(self.spool)
        if self.life.faults == faults:
            self.life.durable |= self.life.cached
        self._give("event", kind=Kind.START)
        for number, dictionary in enumerate(HASHES):
            self._give("event", kind=Kind.BIRTH, dictionary=dictionary)
            for _ in range(steps // len(HASHES)):
                self._step(dictionary)
            if number == 0 and self.rng.random() < 0.3:
                self.spool.append([Mark("sample", epoch(self.life.number), WallNs(T0 + self.second))])

    def end(self) -> None:
        with contextlib.suppress(OSError):
            self.spool.close(MonoNs(self.second * 10**9))

    def _step(self, dictionary: bytes) -> None:
        what = self.rng.random()
        if what < 0.45:
            for _ in range(self.rng.randint(1, 8)):
                self._give("sample", size=self.rng.choice((60, 900, 4000, 15_000)), dictionary=dictionary)
        elif what < 0.55:
            self._give("summary", size=self.rng.choice((200, 6000)), dictionary=dictionary)
        elif what < 0.62:
            stream = self.rng.choice(("alarm", "audit"))
            self._give(stream)
            self._commit((stream,))
        elif what < 0.75:
            for loss in self.spool.take_losses():
                self._give("event", declares=loss)
        elif what < 0.88:
            self._receive(self.rng.choice(STREAMS))
        elif what < 0.9:
            first, count = self.seq["sample"] + 1, self.rng.randint(1, 3)
            last = self.seq["sample"] = first + count - 1
            loss = Loss(epoch(self.life.number), "sample", first, last, count, "overflow", None, None)
            self.spool.note_losses([loss])
        elif what < 0.905:
            refused = self.spool.read(self.rng.choice(("sample", "summary", "alarm")), max_records=2)
            for one in refused:
                self.spool.refuse(one.stream, [one.position])
        elif what < 0.91:
            # All alarms are from T0, by a clock that was set.
            self.spool.expire(WallNs(T0 + 2 * NS))
        elif what < 0.915:
            with contextlib.suppress(OSError):
                self.spool.purge([self.rng.choice(("sample", "alarm"))], WallNs(T0))
        else:
            self.second += 1
            self._commit(None)

    def _give(
        self, stream: str, *, size: int = 100, kind: int = 0, dictionary: bytes = b"",
        declares: Loss | None = None,
    ) -> None:  # fmt: skip
        self.seq[stream] += 1
        number, seq = self.life.number, self.seq[stream]
        made = record(
            seq, stream, number=number, size=size, kind=kind, dictionary=dictionary, declares=declares
        )
        if stream == "alarm":
            made = replace(made, data=_alarm(made))
        key = made.epoch, stream, seq
        self.life.given.add(key)
        if declares:
            self.life.told[key] = declares
        self.spool.append([made])
        self.appended.add(key)
        self.in_memory = self.spool.stats().memory_only

    def _commit(self, streams: tuple[str, ...] | None) -> None:
        appended = set(self.appended)
        self.spool.commit(MonoNs(self.second * 10**9), streams)
        self.in_memory = self.spool.stats().memory_only
        if not self.in_memory:
            self.life.durable |= {key for key in appended if streams is None or key[1] in streams}

    def _receive(self, stream: str) -> None:
        position = 0
        for _ in range(self.rng.randint(1, 12)):
            records = self.spool.read(stream, position, max_records=16, acked_too=self.rng.random() < 0.1)
            for one in records:
                self.life.received.add((one.epoch, stream, one.seq))
                if one.data[:1] == b"\x98":
                    assert isinstance(codec.decode(one.data)[1], Gap | Alarm)
            self.spool.ack(stream, [one.position for one in records])
            if not records:
                return
            position = records[-1].position + 1


def _alarm(record: EncodedRecord) -> bytes:
    """A real one: its age is read from the record itself."""
    at = Stamp(WallNs(T0), MonoNs(0), True)
    head = Envelope(kind=Kind.ALARM, epoch=record.epoch, stream="alarm", seq=record.seq, dict_hash=b"", t0=at)
    body = Alarm(name="a", device="d", point="", active=True, value=1.0, severity="info", repeated=False)
    return codec.encode(head, body)
