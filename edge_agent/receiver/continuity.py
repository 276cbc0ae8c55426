"""Pure: is every record here, or declared lost? By (site, agent), epoch, stream, seq.

Rules:
* a record is fresh once; every repeat is a duplicate;
* within an epoch a hole is missing until a late record fills it or a GAP record declares it. Live
  records and backlog arrive out of order relative to each other by design;
* a START or STOP closes an epoch: its streams end at the last durable seq it names. A hole beyond that
  went with the interruption, which START declares by its times; what arrived from beyond it stays;
* a receiver that joins in the middle cannot have what was acknowledged before. An epoch is complete
  from seq 1 when its START was seen, or when it began while this receiver was already listening (it
  had live records of an earlier epoch of this agent); otherwise it counts from the lowest seq seen.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_agent.receiver.intervals import Intervals

MAX_EPOCHS = 1024
"""Per agent: three months with ten restarts a day. Beyond it the oldest is forgotten, and counted."""
MAX_AGENTS = 4096
"""Beyond it the one that was silent longest is forgotten, and its epochs counted."""
MAX_STREAMS = 16
"""Per epoch. A name beyond it is a stranger's invention, and not accounted."""


@dataclass(frozen=True, slots=True)
class Source:
    site: str
    agent: str


@dataclass(frozen=True, slots=True)
class Missing:
    """Records `first` to `last` that are neither here nor declared lost."""

    source: Source
    epoch: bytes
    stream: str
    first: int
    last: int

    @property
    def count(self) -> int:
        return self.last - self.first + 1


@dataclass(slots=True)
class _Stream:
    accounted: Intervals = field(default_factory=Intervals)
    """Seen or declared lost."""
    seen: Intervals = field(default_factory=Intervals)
    end: int | None = None
    """Last durable seq, once the epoch is closed."""

    def missing(self, *, complete: bool) -> list[tuple[int, int]]:
        first = 1 if complete else self.seen.lowest
        last = self.seen.highest if self.end is None else self.end
        return self.accounted.holes(first, last) if first else []


@dataclass(slots=True)
class _Epoch:
    complete: bool = False
    """Whether it counts from seq 1."""
    streams: dict[str, _Stream] = field(default_factory=dict)

    def stream(self, name: str) -> _Stream:
        known = self.streams.get(name)
        if known is None:
            known = _Stream()
            if len(self.streams) < MAX_STREAMS:
                self.streams[name] = known
        return known

    def close(self, last: Mapping[str, int]) -> None:
        for name, seq in last.items():
            self.stream(name).end = seq


@dataclass(slots=True)
class _Agent:
    epochs: dict[bytes, _Epoch] = field(default_factory=dict)
    """In the order they were first heard of."""
    attended: bytes = b""
    """The last epoch of which a live record was seen."""
    before: bytes = b""
    """The one attended before it."""

    def listened_before(self, epoch: bytes) -> bool:
        """Whether a live record of another epoch was seen before those of `epoch`."""
        return (self.before if self.attended == epoch else self.attended) != b""


class Continuity:
    def __init__(self, max_epochs: int = MAX_EPOCHS, max_agents: int = MAX_AGENTS) -> None:
        self._max_epochs = max_epochs
        self._max_agents = max_agents
        self._agents: OrderedDict[Source, _Agent] = OrderedDict()
        self.forgotten = 0
        """Epochs dropped because there were more than the bounds allow."""

    def is_new(self, source: Source, epoch: bytes, stream: str, seq: int) -> bool:
        """Whether `see` would call it fresh."""
        agent = self._agents.get(source)
        known = agent.epochs.get(epoch) if agent else None
        return known is None or stream not in known.streams or seq not in known.streams[stream].seen

    def see(self, source: Source, epoch: bytes, stream: str, seq: int, *, live: bool) -> bool:
        """A record is here. False for a duplicate."""
        agent = self._agent(source)
        known = self._epoch(agent, epoch, complete=live and agent.attended not in (b"", epoch))
        if live and agent.attended != epoch:
            agent.before, agent.attended = agent.attended, epoch
        state = known.stream(stream)
        if seq in state.seen:
            return False
        state.seen.add(seq, seq)
        state.accounted.add(seq, seq)
        return True

    def declare(self, source: Source, epoch: bytes, stream: str, first: int, last: int) -> None:
        """A GAP record: these will never come."""
        agent = self._agent(source)
        self._epoch(agent, epoch, complete=False).stream(stream).accounted.add(first, last)

    def started(self, source: Source, epoch: bytes, previous: bytes, last: Mapping[str, int]) -> None:
        """The START record of `epoch`: closes the one before it."""
        agent = self._agent(source)
        self._epoch(agent, epoch, complete=True).complete = True
        if previous in agent.epochs:
            agent.epochs[previous].close(last)
        elif previous and agent.listened_before(epoch):
            # We were listening before that epoch and have nothing of it: all of it is missing.
            self._epoch(agent, previous, complete=True).close(last)

    def stopped(self, source: Source, epoch: bytes, last: Mapping[str, int]) -> None:
        """The STOP record of `epoch`: its streams end where it says."""
        agent = self._agent(source)
        self._epoch(agent, epoch, complete=False).close(last)

    def missing(self) -> list[Missing]:
        """Everything that should be here and is not, as known now."""
        return [
            Missing(source, epoch, name, first, last)
            for source, epoch, known, name, stream in self._streams()
            for first, last in stream.missing(complete=known.complete)
        ]

    @property
    def given_up(self) -> int:
        """Missing records whose place is forgotten, because there were too many holes."""
        return sum(stream.accounted.given_up for *_, stream in self._streams())

    def contiguous(self) -> Iterator[tuple[Source, bytes, str, int]]:
        """Per stream the highest seq up to which everything is here or declared lost."""
        for source, epoch, known, name, stream in self._streams():
            first = 1 if known.complete else stream.seen.lowest
            upto = stream.accounted.reaches(first) if first else 0
            if upto:
                yield source, epoch, name, upto

    def first(self, source: Source, epoch: bytes, stream: str) -> int:
        """Where a stream begins for this receiver: 1, or where it joined."""
        known = self._agents[source].epochs[epoch]
        return 1 if known.complete else known.streams[stream].seen.lowest or 1

    # --- for the state file -----------------------------------------------------------------------

    def dump(self) -> list[Any]:
        """As JSON values."""
        return [
            [source.site, source.agent, agent.attended.hex(), [_dump(*item) for item in agent.epochs.items()]]
            for source, agent in self._agents.items()
        ]

    def load(self, agents: Sequence[Any]) -> None:
        """What `dump` gave; ValueError, TypeError or KeyError for anything else."""
        for site, name, attended, epochs in agents:
            agent = self._agents[Source(str(site), str(name))] = _Agent(attended=bytes.fromhex(attended))
            for epoch, complete, streams in epochs:
                agent.epochs[bytes.fromhex(epoch)] = _Epoch(
                    bool(complete),
                    {
                        str(stream): _Stream(Intervals(accounted), Intervals(seen), end)
                        for stream, accounted, seen, end in streams
                    },
                )

    # --- inside -------------------------------------------------------------------------------

    def _agent(self, source: Source) -> _Agent:
        agent = self._agents.setdefault(source, _Agent())
        self._agents.move_to_end(source)
        if len(self._agents) > self._max_agents:
            _, forgotten = self._agents.popitem(last=False)
            self.forgotten += len(forgotten.epochs)
        return agent

    def _epoch(self, agent: _Agent, epoch: bytes, *, complete: bool) -> _Epoch:
        known = agent.epochs.get(epoch)
        if known is None:
            known = agent.epochs[epoch] = _Epoch(complete)
            if len(agent.epochs) > self._max_epochs:
                del agent.epochs[next(iter(agent.epochs))]
                self.forgotten += 1
        return known

    def _streams(self) -> Iterator[tuple[Source, bytes, _Epoch, str, _Stream]]:
        for source, agent in self._agents.items():
            for epoch, known in agent.epochs.items():
                for name, stream in known.streams.items():
                    yield source, epoch, known, name, stream


def _dump(epoch: bytes, known: _Epoch) -> list[Any]:
    streams = [
        [name, list(stream.accounted), list(stream.seen), stream.end]
        for name, stream in known.streams.items()
    ]
    return [epoch.hex(), known.complete, streams]
