"""The reference receiver: subscribes, decodes, checks continuity, emits, then acknowledges.

A message is acknowledged to the broker only after what it says was emitted (and the state saved), so a
receiver that is killed loses nothing; it may see the last messages again, and drops what it knows.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from threading import Event

from edge_agent.clock import Clock
from edge_agent.counters import Counters
from edge_agent.errors import RecordError, UplinkError
from edge_agent.model import NS, MonoNs
from edge_agent.receiver import objects, state
from edge_agent.receiver.continuity import Continuity, Source
from edge_agent.receiver.objects import Object
from edge_agent.records import decode
from edge_agent.records.events import Birth, Gap, Start, Stop
from edge_agent.records.values import EVENT
from edge_agent.uplink import payloads
from edge_agent.uplink.connection.backoff import BackoffPolicy
from edge_agent.uplink.connection.link import Link
from edge_agent.uplink.connection.wire import ConnectOptions, Down, Message, Received, Subscribed, Up
from edge_agent.uplink.topics import Place, Topics, maybe_place, subscriptions

log = logging.getLogger(__name__)

_MAX_HELD = 1024
"""Records that wait for their dictionary."""
_HELD_UNACKED = 8
"""Of those, how many the broker may keep for us: a broker sends only so many messages ahead, and the
dictionary that would release them must still get through."""
_ACK_EVERY_NS = NS
RETRY = BackoffPolicy(floor_ns=NS // 2, cap_ns=10 * NS)


@dataclass(slots=True)
class Counts:
    """The closing line."""

    records: int = 0
    values: int = 0
    alarms: int = 0
    duplicates: int = 0
    gaps: int = 0
    missing: int = 0
    undecodable: int = 0

    def closing(self) -> Object:
        return {"kind": "end"} | asdict(self)


@dataclass(frozen=True, slots=True)
class _Held:
    source: Source
    received: Received | None
    """To be acknowledged with the record's release; None where that had to be done already."""
    backlog: bool


class Receiver:
    """One thread. `emit` gets every object; `flush` is called before anything is acknowledged."""

    def __init__(
        self,
        options: ConnectOptions,
        emit: Callable[[Object], None],
        flush: Callable[[], None],
        clock: Clock,
        counters: Counters,
        *,
        auto_version: bool = True,
        site: str = "",
        agent: str = "",
        state_file: Path | None = None,
        ack: bool = False,
        policy: BackoffPolicy = RETRY,
        random: Random | None = None,
    ) -> None:
        self.counts = Counts()
        self.was_connected = False
        self.link = Link(
            options, auto_version=auto_version, clock=clock, counters=counters, policy=policy, random=random
        )
        self._emit = emit
        self._flush = flush
        self._clock = clock
        self._filters = subscriptions(site, agent)
        self._decoder = decode.Decoder(max_kept=_MAX_HELD)
        self._continuity = Continuity()
        self._held: OrderedDict[tuple[Source, bytes, str, int], _Held] = OrderedDict()
        self._unacked: list[Received] = []
        self._state_file = state_file
        self._sends_acks = ack
        self._acked: dict[tuple[Source, bytes, str], int] = {}
        self._acks_at = MonoNs(0)
        if state_file is not None:
            self._load(state_file)

    def run(self, stop: Event, until: MonoNs | None = None) -> Counts:
        """Until `stop` or `until`; the link is closed at the end. Raises what `emit` raises."""
        try:
            while not stop.is_set() and (until is None or self._clock.mono_ns() < until):
                self.turn()
                self.link.wait(0.2)
        finally:
            self.link.close()
        return self.finish()

    def turn(self) -> None:
        """Handle what has arrived: emit, flush, save, then acknowledge."""
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
                    self._forget_unacknowledged()
        if self._unacked:
            self._settle()
        if self._sends_acks:
            self._send_acks()

    def finish(self) -> Counts:
        """The counts as they stand, with what is missing now."""
        lost = self._continuity.missing()
        self.counts.missing = sum(gap.count for gap in lost) + self._continuity.given_up
        return self.counts

    @property
    def continuity(self) -> Continuity:
        return self._continuity

    # --- one message ----------------------------------------------------------------------------

    def _receive(self, received: Received) -> None:
        message = received.message
        place = maybe_place(message.topic)
        held = False
        if place is None:
            self.counts.undecodable += 1
        elif place.channel == "status":
            self._status(place, message)
        elif place.channel == "birth" or place.stream == "birth":
            self._birth(place, message)
        else:
            held = self._record(place, received)
        if not held:
            self._unacked.append(received)

    def _status(self, place: Place, message: Message) -> None:
        document = payloads.maybe_status(message.payload)
        if document is not None:
            self._emit(objects.status(Source(place.site, place.agent), document))
        elif message.payload:
            self._undecodable(place, "a status that is none")

    def _birth(self, place: Place, message: Message) -> None:
        """A copy of a BIRTH, sent ahead so that its dictionary is known; the record itself follows in
        its stream, and only that one counts."""
        if not message.payload:
            return
        try:
            self._decoder.decode(message.payload)
        except RecordError as error:
            self._undecodable(place, str(error))
            return
        self._release()

    def _record(self, place: Place, received: Received) -> bool:
        """True when the record is held back until its dictionary is here."""
        source = Source(place.site, place.agent)
        try:
            record = self._decoder.decode(received.message.payload)
        except RecordError as error:
            self._undecodable(place, str(error))
            return False
        head = record.envelope
        if head.stream != place.stream:
            self._undecodable(place, f"a record of stream {head.stream}")
            return False
        key = (source, head.epoch, head.stream, head.seq)
        if key in self._held or not self._continuity.is_new(*key):
            self.counts.duplicates += 1
            # Whoever sends it again has not heard our acknowledgement.
            self._acked.pop((source, head.epoch, head.stream), None)
            return False
        if isinstance(record.body, decode.Unresolved):
            return self._hold(key, received, backlog=place.channel == "hist")
        self._accept(source, record, backlog=place.channel == "hist")
        if isinstance(record.body, Birth):
            self._release()
        return False

    def _accept(self, source: Source, record: decode.Record, *, backlog: bool) -> None:
        head, body = record.envelope, record.body
        self._continuity.see(source, head.epoch, head.stream, head.seq, live=not backlog)
        self.counts.records += 1
        match body:
            case Start():
                self._continuity.started(source, head.epoch, body.previous.epoch, body.previous.last)
            case Stop():
                self._continuity.stopped(source, head.epoch, body.last | {EVENT: head.seq})
            case Gap(loss=loss):
                self._continuity.declare(source, loss.epoch, loss.stream, loss.from_seq, loss.to_seq)
        for item in objects.objects(source, record, backlog=backlog):
            self.counts.values += item["kind"] in ("sample", "summary")
            self.counts.alarms += item["kind"] == "alarm"
            self.counts.gaps += item["kind"] == "gap"
            self._emit(item)

    def _undecodable(self, place: Place, reason: str) -> None:
        self.counts.undecodable += 1
        topic = f"{place.channel}/{place.stream}".rstrip("/")
        self._emit(
            {
                "kind": "undecodable",
                "site": place.site,
                "agent": place.agent,
                "topic": topic,
                "reason": reason,
            }
        )

    # --- dictionaries that are late ---------------------------------------------------------------

    def _hold(self, key: tuple[Source, bytes, str, int], received: Received, *, backlog: bool) -> bool:
        """False when the broker may forget the message although nothing was emitted yet."""
        keep = len(self._held) < _HELD_UNACKED
        self._held[key] = _Held(key[0], received if keep else None, backlog)
        if len(self._held) > _MAX_HELD:
            # The decoder gives up its oldest one at the same bound; it stays counted as missing.
            self._held.popitem(last=False)
        return keep

    def _release(self) -> None:
        """A dictionary, or a part of one, was learned: accept what waited for it."""
        for waiting in self._decoder.resolved():
            head = waiting.envelope
            for key in [key for key in self._held if key[1:] == (head.epoch, head.stream, head.seq)]:
                held = self._held.pop(key)
                self._accept(held.source, waiting, backlog=held.backlog)
                if held.received is not None:
                    self._unacked.append(held.received)

    def _forget_unacknowledged(self) -> None:
        """Acknowledgements belong to their connection: what was not acknowledged comes again."""
        self._unacked.clear()
        self._held = OrderedDict((key, held) for key, held in self._held.items() if held.received is None)

    # --- after the messages -----------------------------------------------------------------------

    def _settle(self) -> None:
        self._flush()
        if self._state_file is not None:
            state.save(self._state_file, state.Stored(self._continuity.dump(), self._decoder.dictionaries()))
        for received in self._unacked:
            if received.qos:
                self.link.acknowledge(received)
        self._unacked.clear()

    def _send_acks(self) -> None:
        """Tell each agent up to where everything is here, at most once a second; as many as the broker takes
        ahead of its answers, the rest when it has answered."""
        now = self._clock.mono_ns()
        if now - self._acks_at < _ACK_EVERY_NS or not self.link.is_up:
            return
        for source, epoch, stream, upto in self._continuity.contiguous():
            if self._acked.get((source, epoch, stream)) != upto:
                if not self.link.room:
                    return
                first = self._continuity.first(source, epoch, stream)
                payload = payloads.Ack(epoch, stream, upto, first).encode()
                topic = Topics(source.site, source.agent).ack
                if self.link.publish(Message(topic=topic, payload=payload)) is not None:
                    self._acked[source, epoch, stream] = upto
        self._acks_at = now

    def _load(self, path: Path) -> None:
        stored = state.load(path)
        try:
            self._continuity.load(stored.seen)
            for data in stored.dictionaries:
                self._decoder.learn(data)
        except (ValueError, TypeError, KeyError, RecordError) as error:
            raise state.not_ours(path, error) from error


def check_subscribed(codes: Sequence[int], filters: Sequence[str]) -> None:
    refused = [name for code, name in zip(codes, filters, strict=False) if code >= 0x80]
    if refused:
        raise UplinkError(
            f"the broker refuses the subscription of {', '.join(refused)}\n"
            "    hint: its access list must let this user read ea1/<site>/<agent>/up/#"
        )
