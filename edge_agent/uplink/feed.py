"""From the outbox to a connection that is up: greeting, records, answers.

Does what `session` decides, and counts it. Used by the uplink thread only.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from edge_agent.clock import Clock
from edge_agent.counters import Counters, declare
from edge_agent.uplink import reasons
from edge_agent.uplink.connection.link import Link
from edge_agent.uplink.connection.wire import Down, Message, Up
from edge_agent.uplink.mirror import STATE_REFUSED, Mirror
from edge_agent.uplink.outbox import Outbox, Ref
from edge_agent.uplink.reasons import Rule, Verdict
from edge_agent.uplink.sending.items import Item, Send
from edge_agent.uplink.sending.session import Answer, Session

log = logging.getLogger(__name__)

SENT = declare("uplink_sent", "records published, by stream; repeats count again", "stream")
ACKED = declare("uplink_acked", "records acknowledged by the broker, by stream", "stream")
REPLAYED = declare("uplink_replayed", "records sent again because a receiver asked, by stream", "stream")
REFUSED = declare("uplink_refused", "publishes of records the broker refused, by its reason", "reason")
PARKED = declare(
    "uplink_parked", "times nothing more was sent to a topic until the broker takes a probe", "reason"
)
GIVEN_UP = declare("uplink_given_up", "records given up because the broker refuses them, declared", "reason")
PAUSED = declare("uplink_paused", "times the broker asked to send later")
UNHEARD = declare("uplink_unheard", "records the broker took, and said that nobody subscribes to them")
GONE = declare("uplink_gone", "records that were not in the spool any more at their turn", "stream")
UNKNOWN_ACKS = declare("uplink_unknown_acks", "acknowledgements of messages that nobody waits for")

_TOO_LARGE = 0x95
_NO_SUBSCRIBERS = 0x10
_BATCH = 64
"""Most records published before the broker's answers are looked at again."""
_OVERHEAD = 16
"""Bytes of a PUBLISH beside topic and payload, and some to spare."""


class Feed:
    def __init__(
        self, mirror: Mirror, session: Session, outbox: Outbox, clock: Clock, counters: Counters
    ) -> None:
        self._mirror = mirror
        self._session = session
        self._outbox = outbox
        self._clock = clock
        self._counters = counters
        self._acked: list[Ref] = []
        self._max_packet = 0

    def connected(self, up: Up) -> None:
        """Collect the greeting and everything that waits."""
        self._max_packet = up.max_packet_bytes
        greeting = self._mirror.greeting()
        # Tails before the rest: a record appended in between is then live, not lost between the two.
        tails = self._outbox.tails()
        unacked = self._outbox.unacked()
        self._session.connected(
            self._clock.mono_ns(), up.receive_maximum, greeting, self._outbox.epoch, tails, unacked
        )

    def disconnected(self, down: Down) -> None:
        self._settle()
        now = self._clock.mono_ns()
        self._give_up(self._session.disconnected(now, down.failure.cause, taken=down.taken))

    def publish(self, link: Link) -> None:
        """Hand over what may go out now."""
        self._settle()
        self._session.appended(self._outbox.tails())
        for message in self._mirror.news():
            self._session.say(message)
        for _ in range(_BATCH):
            item = self._session.next(self._clock.mono_ns())
            if item is None or not self._publish(link, item):
                return

    def answered(self, token: int, code: int) -> None:
        """A PUBACK."""
        answer = self._session.answered(self._clock.mono_ns(), token, code)
        if answer is None:
            self._counters.get(UNKNOWN_ACKS).add()
            return
        if code == _NO_SUBSCRIBERS and isinstance(answer.item, Send):
            self._counters.get(UNHEARD).add()
        self._take(answer, code)

    # --- inside -------------------------------------------------------------------------------

    def _publish(self, link: Link, item: Item) -> bool:
        message = item if isinstance(item, Message) else self._record(item)
        if message is None:
            return True
        size = len(message.payload) + len(message.topic) + _OVERHEAD
        if size > self._max_packet:
            self._take(self._session.unsendable(self._clock.mono_ns(), item, _TOO_LARGE), _TOO_LARGE)
            return True
        token = link.publish(message)
        if token is None:
            self._session.left_over(item)
            return False
        if isinstance(item, Send):
            self._counters.get(REPLAYED if item.replay else SENT, item.ref.stream).add()
        self._session.sent(self._clock.mono_ns(), token, item, size)
        return True

    def _record(self, send: Send) -> Message | None:
        read = self._outbox.read_kept if send.replay else self._outbox.read
        record = read(send.ref)
        if record is None:
            self._session.gone(send)
            self._counters.get(GONE, send.ref.stream).add()
            return None
        return Message(topic=send.topic, payload=record, alias=True)

    def _take(self, answer: Answer, code: int) -> None:
        self._acked.extend(answer.done)
        self._give_up(answer.given_up)
        if answer.opened:
            log.info("the broker takes %s again", answer.opened)
        if answer.verdict is Verdict.PAUSE:
            self._counters.get(PAUSED).add()
        elif answer.verdict is not Verdict.DONE:
            self._refused(answer, reasons.rule(code))
        elif isinstance(answer.item, Send) and not answer.item.replay:
            self._counters.get(ACKED, answer.item.ref.stream).add()

    def _refused(self, answer: Answer, rule: Rule) -> None:
        """Counted every time; that a class is parked is for the status and, through it, the journal."""
        is_record = isinstance(answer.item, Send)
        self._counters.get(REFUSED if is_record else STATE_REFUSED, rule.words).add()
        if answer.parked:
            self._counters.get(PARKED, rule.words).add()

    def _give_up(self, given_up: Sequence[tuple[Send, Rule]]) -> None:
        """The spool counts them as lost, and a GAP record declares them."""
        for send, rule in given_up:
            self._counters.get(GIVEN_UP, rule.words).add()
            log.warning(
                "record %s %d of epoch %s is given up: the broker refuses it: %s; hint: %s",
                send.ref.stream, send.ref.seq, send.ref.epoch.hex(), rule.words, rule.hint or "see its log",
            )  # fmt: skip
        if given_up:
            self._outbox.refuse([send.ref for send, _ in given_up])

    def _settle(self) -> None:
        """Tell the outbox what was acknowledged, many at once."""
        if self._acked:
            acked, self._acked = self._acked, []
            self._outbox.ack(acked)
