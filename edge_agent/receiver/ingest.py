"""From the broker into a database: reads, batches, commits, and only then acknowledges.

One thread. While the database is away nothing is acknowledged, so the broker keeps what comes and sends no
more than its window; the connection to the broker lives on.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from threading import Event
from typing import Any

from edge_agent.clock import Clock
from edge_agent.counters import Counters
from edge_agent.errors import RecordError
from edge_agent.model import NS, MonoNs
from edge_agent.receiver.continuity import Source
from edge_agent.receiver.database.door import Away, Busy, StoreError
from edge_agent.receiver.database.entries import Batch, Entry, Garbage, Reader, StreamKey
from edge_agent.receiver.database.isolate import write_all
from edge_agent.receiver.database.store import Store, Written
from edge_agent.receiver.fill import LOOK_EVERY_NS, MAX_LOOKED_AT, MAX_TRIES, Filler
from edge_agent.receiver.objects import Object
from edge_agent.receiver.receiver import check_subscribed
from edge_agent.records import pack
from edge_agent.uplink import payloads
from edge_agent.uplink.backoff import BackoffPolicy
from edge_agent.uplink.link import Link
from edge_agent.uplink.topics import Place, Topics, maybe_place, subscriptions
from edge_agent.uplink.wire import ConnectOptions, Down, Message, Received, Subscribed, Up

log = logging.getLogger(__name__)

WINDOW = 1000
"""Messages the broker may send ahead of our acknowledgements."""
_ENOUGH = WINDOW // 2
"""Messages in one transaction; the broker sends the other half meanwhile."""
_MOST = 4 * WINDOW
"""Messages in memory. Only what is not acknowledged by its nature (QoS 0), or a broker without a window,
comes so far while the database is away."""
_LINGER_NS = NS // 20
"""How long the first message of a batch waits for others: a commit costs about as much for hundreds."""
_ACK_EVERY_NS = NS
_RESOLVE_EVERY_NS = 2 * NS
_RETRY = BackoffPolicy(floor_ns=NS // 2, cap_ns=10 * NS)
_PAUSES_NS = (NS // 2, NS, 2 * NS, 5 * NS, 10 * NS, 30 * NS)
"""Between attempts while the database is away."""


@dataclass(slots=True)
class Counts:
    """The closing line."""

    records: int = 0
    values: int = 0
    alarms: int = 0
    gaps: int = 0
    duplicates: int = 0
    waiting: int = 0
    """Stored as bytes because their dictionary was not there yet."""
    undecodable: int = 0
    """Stored as bytes, with the reason."""
    dropped: int = 0
    """Not stored at all."""
    asked: int = 0
    """Requests for what was missing."""
    missing: int = 0

    def add(self, written: Written) -> None:
        for name in ("records", "values", "alarms", "gaps", "duplicates", "waiting", "dropped"):
            setattr(self, name, getattr(self, name) + getattr(written, name))
        self.undecodable += written.unread

    def closing(self) -> Object:
        return {"kind": "end"} | asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestOptions:
    site: str = ""
    agent: str = ""
    group: str = ""
    """Of a shared subscription; empty: this receiver gets everything."""
    auto_version: bool = True
    ack: bool = False
    fill_after_ns: int = 0
    """Ask for what is missing after this time; 0: never."""
    policy: BackoffPolicy = _RETRY


class Ingest:
    """Drives the link and the store from the thread that calls `run` or `turn`."""

    def __init__(
        self, connect: ConnectOptions, store: Store, clock: Clock, counters: Counters, options: IngestOptions
    ) -> None:
        self.counts = Counts()
        self.was_connected = False
        self.was_stored = False
        """Whether the database ever took anything, or said that it would."""
        self.link = Link(
            connect, auto_version=options.auto_version, clock=clock, counters=counters, policy=options.policy
        )
        self._store = store
        self._clock = clock
        self._options = options
        self._filters = subscriptions(options.site, options.agent, options.group)
        self._reader = Reader(store.dictionary)
        self._messages: dict[tuple[Place, bytes], None] = {}
        """Not committed yet, in order; what a broker sends again after a lost connection is there once."""
        self._unacked: list[Received] = []
        self._began_at = MonoNs(0)
        self._failures = 0
        self._retry_at = MonoNs(0)
        self._upto: dict[StreamKey, int] = {}
        self._acks_at = self._looked_at = self._resolved_at = MonoNs(0)
        self._filler = Filler(options.fill_after_ns)

    def run(self, stop: Event, until: MonoNs | None = None) -> Counts:
        """Until `stop` or `until`; what was read is committed then, if the database is there."""
        try:
            while not stop.is_set() and (until is None or self._clock.mono_ns() < until):
                self.turn()
                self.link.wait(_LINGER_NS / NS if self._messages else 0.2)
            self._end()
        finally:
            self.link.close()
            self._store.close()
        return self.counts

    def turn(self) -> None:
        """Handle what has arrived; commit and acknowledge when it is time."""
        for event in self.link.turn():
            match event:
                case Up():
                    self.was_connected = True
                    self.link.subscribe(self._filters)
                case Subscribed(codes):
                    check_subscribed(codes, self._filters)
                    log.info("listening to %s at %s", self._filters[-2], self.link.options.address)
                case Received():
                    self._receive(event)
                case Down():
                    self._disconnected()
        now = self._clock.mono_ns()
        if now < self._retry_at:
            return
        try:
            if len(self._messages) >= _ENOUGH or (self._messages and now - self._began_at >= _LINGER_NS):
                self._commit()
            self._now_and_then(now)
        except (Away, Busy) as error:
            self._put_off(error, now)

    # --- messages ---------------------------------------------------------------------------------

    def _receive(self, received: Received) -> None:
        message = received.message
        place = maybe_place(message.topic)
        if place is None or (len(self._messages) >= _MOST and not received.qos):
            self.counts.dropped += 1
        elif message.payload:
            if not self._messages:
                self._began_at = self._clock.mono_ns()
            self._messages[place, message.payload] = None
        self._unacked.append(received)

    def _disconnected(self) -> None:
        """Acknowledgements belong to their connection. What was read is stored all the same: the broker may
        have lost it; if it has not, it comes again and is known."""
        self._unacked.clear()
        if len(self._messages) >= _MOST:
            log.warning(
                "too much waits for the database: %d messages are left to the broker", len(self._messages)
            )
            self._messages.clear()

    def _commit(self) -> None:
        batch, statuses = self._read()
        written = write_all(self._store, batch)
        for source, document in statuses.items():
            self._store.status(source, document)
        self._answered()
        self._messages.clear()
        self.counts.add(written)
        self._upto.update(written.upto)
        for received in self._unacked:
            self.link.acknowledge(received)
        self._unacked.clear()

    def _read(self) -> tuple[Batch, dict[Source, dict[str, Any]]]:
        """Everything that has arrived, as rows. Away where a dictionary cannot be looked up."""
        batch, statuses = Batch(), {}
        for place, payload in self._messages:
            source = Source(place.site, place.agent)
            if place.channel == "status":
                if (document := payloads.maybe_status(payload)) is not None:
                    statuses[source] = document
                    self._filler.status(source, online=document["state"] == "online")
            elif place.channel == "birth" or place.stream == "birth":
                self._birth(source, payload, batch)
            else:
                self._record(source, place, payload, batch)
        self._reader.give_dictionaries(batch)
        return batch, statuses

    def _birth(self, source: Source, payload: bytes, batch: Batch) -> None:
        """A copy of a BIRTH, sent ahead so that its dictionary is known; only the record counts."""
        try:
            self._reader.decode(payload)
        except RecordError as error:
            batch.garbage.append(Garbage(source, payload[:1024], str(error)))

    def _record(self, source: Source, place: Place, payload: bytes, batch: Batch) -> None:
        backlog = place.channel == "hist"
        made = self._reader.read(source, payload, stream=place.stream, backlog=backlog)
        self._filler.heard(source, self._clock.mono_ns(), backlog=backlog)
        if isinstance(made, Entry):
            batch.entries.append(made)
        else:
            batch.garbage.append(made)

    def _put_off(self, error: StoreError, now: MonoNs) -> None:
        pause_ns = _PAUSES_NS[min(self._failures, len(_PAUSES_NS) - 1)]
        # The first of a series is worth a warning; all of them would fill a log over a weekend.
        level = logging.WARNING if not self._failures else logging.INFO
        log.log(level, "%s\nnothing is acknowledged; next try in %.1f s", error, pause_ns / NS)
        self._failures += 1
        self._retry_at = MonoNs(now + pause_ns)

    def _answered(self) -> None:
        if self._failures:
            log.warning("the database is back")
            self._failures = 0
        self.was_stored = True

    # --- beside the messages ------------------------------------------------------------------------

    def _now_and_then(self, now: MonoNs) -> None:
        if now - self._resolved_at >= _RESOLVE_EVERY_NS:
            # While there is more of it, the next turn goes on.
            if not self._store.resolve(self._reader):
                self._resolved_at = now
            self._answered()
        if self._options.ack and now - self._acks_at >= _ACK_EVERY_NS:
            self._acks_at = now
            self._send_acks()
        if self._options.fill_after_ns and now - self._looked_at >= LOOK_EVERY_NS and self.link.is_up:
            self._looked_at = now
            self._ask(now)

    def _send_acks(self) -> None:
        """Up to where everything is in the database, whoever brought it there."""
        for key, upto in list(self._upto.items()):
            site, agent, epoch, stream = key
            payload = pack.pack({"epoch": bytes.fromhex(epoch), "stream": stream, "upto": upto})
            message = Message(topic=Topics(site, agent).ack, payload=payload)
            if not upto or self.link.publish(message) is not None:
                del self._upto[key]

    def _ask(self, now: MonoNs) -> None:
        for hole in self._filler.due(self._store.missing(MAX_LOOKED_AT), now):
            if self._store.claim(hole, self._options.fill_after_ns, MAX_TRIES):
                log.info("asking %s for %s %d to %d", hole.source.agent, hole.stream, hole.first, hole.last)
                fields = {"stream": hole.stream, "epoch": hole.epoch, "from": hole.first, "to": hole.last}
                topic = Topics(hole.source.site, hole.source.agent).replay
                self.link.publish(Message(topic=topic, payload=pack.pack(fields)))
                self.counts.asked += 1

    def _end(self) -> None:
        try:
            self._commit()
            self._send_acks() if self._options.ack else None
            self.counts.missing = self._store.count_missing()
        except (Away, Busy) as error:
            log.warning("%s\nwhat was not stored stays with the broker", error)
        self.link.turn()
