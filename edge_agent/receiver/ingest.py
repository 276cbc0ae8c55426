"""From the broker into a database: reads, batches, commits, and only then acknowledges.

One thread. While the database is away nothing is acknowledged, so the broker keeps what comes and sends no
more than its window; the connection to the broker lives on.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from threading import Event

from edge_agent.clock import Clock
from edge_agent.counters import Counters
from edge_agent.model import NS, MonoNs
from edge_agent.receiver.database.door import Away, Busy, StoreError
from edge_agent.receiver.database.entries import StreamKey
from edge_agent.receiver.database.isolate import write_all
from edge_agent.receiver.database.shape import Written
from edge_agent.receiver.database.store import Store
from edge_agent.receiver.fill import LOOK_EVERY_NS, MAX_LOOKED_AT, MAX_TRIES, Filler
from edge_agent.receiver.intake import Intake
from edge_agent.receiver.objects import Object
from edge_agent.receiver.receiver import RETRY, check_subscribed
from edge_agent.uplink import payloads
from edge_agent.uplink.connection.backoff import BackoffPolicy
from edge_agent.uplink.connection.link import Link
from edge_agent.uplink.connection.wire import ConnectOptions, Down, Message, Received, Subscribed, Up
from edge_agent.uplink.topics import Topics, subscriptions

log = logging.getLogger(__name__)

WINDOW = 1000
"""Messages the broker may send ahead of our acknowledgements."""
_ENOUGH = WINDOW // 2
"""Messages in one transaction; the broker sends the other half meanwhile."""
_LINGER_NS = NS // 20
"""How long the first message of a batch waits for others: a commit costs about as much for hundreds."""
_ACK_EVERY_NS = NS
_RESOLVE_EVERY_NS = 2 * NS
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
    policy: BackoffPolicy = RETRY


class Ingest:
    """Drives the link and the store from the thread that calls `run` or `turn`."""

    def __init__(
        self, connect: ConnectOptions, store: Store, clock: Clock, counters: Counters, options: IngestOptions
    ) -> None:
        self.counts = Counts()
        self.was_connected = False
        self.is_listening = False
        """Whether the broker has confirmed the subscriptions of this connection."""
        self.was_stored = False
        """Whether the database ever took anything, or said that it would."""
        self.link = Link(
            connect, auto_version=options.auto_version, clock=clock, counters=counters, policy=options.policy
        )
        self._store = store
        self._clock = clock
        self._options = options
        self._filters = subscriptions(options.site, options.agent, options.group)
        self._filler = Filler(options.fill_after_ns)
        self._intake = Intake(store.dictionary, self._filler, most=4 * WINDOW)
        self._unacked: list[Received] = []
        self._began_at = MonoNs(0)
        self._failures = 0
        self._said = ""
        self._retry_at = MonoNs(0)
        self._reach: dict[StreamKey, tuple[int, int]] = {}
        self._acks_at = self._looked_at = self._resolved_at = MonoNs(0)
        self._look_every_ns = min(LOOK_EVERY_NS, options.fill_after_ns)

    def run(self, stop: Event, until: MonoNs | None = None) -> Counts:
        """Until `stop` or `until`; what was read is committed then, if the database is there."""
        try:
            while not stop.is_set() and (until is None or self._clock.mono_ns() < until):
                self.turn()
                self.link.wait(_LINGER_NS / NS if len(self._intake) else 0.2)
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
                    self.is_listening = True
                    log.info("listening to %s at %s", self._filters[-2], self.link.options.address)
                case Received():
                    self._receive(event)
                case Down():
                    self._disconnected()
        now = self._clock.mono_ns()
        if now < self._retry_at:
            return
        try:
            waiting = len(self._intake)
            if waiting >= _ENOUGH or (waiting and now - self._began_at >= _LINGER_NS):
                self._commit()
            self._now_and_then(now)
        except (Away, Busy) as error:
            self._put_off(error, now)

    # --- messages ---------------------------------------------------------------------------------

    def _receive(self, received: Received) -> None:
        if not len(self._intake):
            self._began_at = self._clock.mono_ns()
        if not self._intake.put(received.message, sure=received.qos > 0):
            self.counts.dropped += 1
        self._unacked.append(received)

    def _disconnected(self) -> None:
        """Acknowledgements belong to their connection. What was read is stored all the same: the broker may
        have lost it; if it has not, it comes again and is known."""
        self.is_listening = False
        self._unacked.clear()
        if self._intake.is_full:
            log.warning(
                "too much waits for the database: %d messages are left to the broker", len(self._intake)
            )
            self._intake.clear()

    def _commit(self) -> None:
        batch, statuses = self._intake.read(self._clock.mono_ns())
        written = write_all(self._store, batch)
        for source, document in statuses.items():
            self._store.status(source, document)
        self._answered()
        self._intake.clear()
        self.counts.add(written)
        if self._options.ack:
            self._reach.update(written.reach)
        for received in self._unacked:
            self.link.acknowledge(received)
        self._unacked.clear()

    def _put_off(self, error: StoreError, now: MonoNs) -> None:
        pause_ns = _PAUSES_NS[min(self._failures, len(_PAUSES_NS) - 1)]
        # Each reason is worth a warning once; every attempt would fill a log over a weekend.
        level = logging.DEBUG if str(error) == self._said else logging.WARNING
        log.log(level, "%s\nnothing is acknowledged; next try in %.1f s", error, pause_ns / NS)
        self._said = str(error)
        self._failures += 1
        self._retry_at = MonoNs(now + pause_ns)

    def _answered(self) -> None:
        if self._failures:
            log.warning("the database is back")
            self._failures, self._said = 0, ""
        self.was_stored = True

    # --- beside the messages ------------------------------------------------------------------------

    def _now_and_then(self, now: MonoNs) -> None:
        if now - self._resolved_at >= _RESOLVE_EVERY_NS:
            # While there is more of it, the next turn goes on.
            if not self._store.resolve(self._intake.reader):
                self._resolved_at = now
            self._answered()
        if self._options.ack and now - self._acks_at >= _ACK_EVERY_NS and self._send_acks():
            self._acks_at = now
        if self._options.fill_after_ns and now - self._looked_at >= self._look_every_ns and self.link.is_up:
            self._looked_at = now
            self._ask(now)

    def _send_acks(self) -> bool:
        """Up to where everything is in the database, whoever brought it there. False: the broker must answer
        some before it takes the rest."""
        for key, (first, upto) in list(self._reach.items()):
            if not self.link.room:
                return False
            site, agent, epoch, stream = key
            payload = payloads.Ack(bytes.fromhex(epoch), stream, upto, first).encode()
            message = Message(topic=Topics(site, agent).ack, payload=payload)
            if not upto or self.link.publish(message) is not None:
                del self._reach[key]
        return True

    def _ask(self, now: MonoNs) -> None:
        holes = self._store.holes.askable(MAX_LOOKED_AT, self._options.fill_after_ns, MAX_TRIES)
        for hole in self._filler.due(holes, now):
            if self.link.room and self._store.holes.claim(hole, self._options.fill_after_ns, MAX_TRIES):
                log.info("asking %s for %s %d to %d", hole.source.agent, hole.stream, hole.first, hole.last)
                request = payloads.ReplayRequest(hole.epoch, hole.stream, hole.first, hole.last)
                topic = Topics(hole.source.site, hole.source.agent).replay
                self.link.publish(Message(topic=topic, payload=request.encode()))
                self.counts.asked += 1

    def _end(self) -> None:
        try:
            self._commit()
            self._send_acks() if self._options.ack else None
            self.counts.missing = self._store.holes.count()
        except (Away, Busy) as error:
            log.warning("%s\nwhat was not stored stays with the broker", error)
        self.link.turn()
