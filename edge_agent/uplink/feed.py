"""From the outbox to a connection that is up: greeting, records, answers, the mirror of alarm states.

Does what `session` decides, and counts it. Used by the uplink thread only, but for `alarm_changed`.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from edge_agent.clock import Clock
from edge_agent.counters import Counters, declare
from edge_agent.process.results import AlarmTransition
from edge_agent.uplink import payloads
from edge_agent.uplink.link import Link
from edge_agent.uplink.outbox import Births, Outbox, Ref
from edge_agent.uplink.reasons import PUBACK_WORDS, Cause, Verdict
from edge_agent.uplink.session import Item, Send, Session
from edge_agent.uplink.topics import Topics, is_alarm_name
from edge_agent.uplink.wire import Message, Up

log = logging.getLogger(__name__)

SENT = declare("uplink_sent", "records published, by stream; repeats count again", "stream")
ACKED = declare("uplink_acked", "records acknowledged by the broker, by stream", "stream")
PARKED = declare(
    "uplink_parked", "records set aside until the next connection, by the broker's reason", "reason"
)
STATE_REFUSED = declare("uplink_state_refused", "births, status and alarm states the broker refused")
PAUSED = declare("uplink_paused", "times the broker asked to send later")
GONE = declare("uplink_gone", "records that were not in the spool any more at their turn", "stream")
UNKNOWN_ACKS = declare("uplink_unknown_acks", "acknowledgements of messages that nobody waits for")

_TOO_LARGE = 0x95
_BATCH = 64
"""Most records published before the broker's answers are looked at again."""
_OVERHEAD = 16
"""Bytes of a PUBLISH beside topic and payload, and some to spare."""


class Feed:
    def __init__(
        self,
        topics: Topics,
        session: Session,
        outbox: Outbox,
        alarm_states: Callable[[], Sequence[AlarmTransition]],
        clock: Clock,
        counters: Counters,
    ) -> None:
        self._topics = topics
        self._session = session
        self._outbox = outbox
        self._alarm_states = alarm_states
        self._clock = clock
        self._counters = counters
        self._alarms: dict[str, AlarmTransition] = {}
        self._changes: deque[AlarmTransition] = deque()
        self._acked: list[Ref] = []
        self._births = Births()
        self._max_packet = 0
        self._reported: set[int] = set()

    def alarm_changed(self, transition: AlarmTransition) -> None:
        """From any thread."""
        self._changes.append(transition)

    def status(self, state: str, reason: str = "") -> Message:
        """The retained status; also the last will, so the epoch tells whose death it is."""
        payload = payloads.status(state, self._outbox.epoch, self._clock.wall_ns(), reason)
        return Message(topic=self._topics.status, payload=payload, retain=True)

    def health(self, document: Mapping[str, object]) -> Message:
        payload = payloads.health(document, self._outbox.epoch, self._clock.wall_ns())
        return Message(topic=self._topics.health, payload=payload)

    def connected(self, up: Up) -> None:
        """Collect the greeting and everything that waits."""
        self._max_packet = up.max_packet_bytes
        self._reported.clear()
        greeting = self._greeting()
        # Tails before the rest: a record appended in between is then live, not lost between the two.
        tails = self._outbox.tails()
        unacked = self._outbox.unacked()
        self._session.connected(
            self._clock.mono_ns(), up.receive_maximum, greeting, self._outbox.epoch, tails, unacked
        )

    def disconnected(self, cause: Cause) -> None:
        self._settle()
        self._session.disconnected(cause)

    def publish(self, link: Link) -> None:
        """Hand over what may go out now."""
        self._settle()
        self._session.appended(self._outbox.tails())
        self._say_changes()
        for _ in range(_BATCH):
            item = self._session.next(self._clock.mono_ns())
            if item is None or not self._publish(link, item):
                return

    def answered(self, token: int, code: int) -> None:
        """A PUBACK."""
        answer = self._session.answered(self._clock.mono_ns(), token, code)
        if answer is None:
            self._counters.get(UNKNOWN_ACKS).add()
        elif answer.verdict is Verdict.PAUSE:
            self._counters.get(PAUSED).add()
        elif answer.verdict is Verdict.PARK:
            self._park(answer.item, code)
        elif isinstance(answer.item, Send):
            self._acked.append(answer.item.ref)
            self._counters.get(ACKED, answer.item.ref.stream).add()

    # --- inside -------------------------------------------------------------------------------

    def _greeting(self) -> list[Message]:
        self._births = self._outbox.births()
        self._take_changes()
        for transition in self._alarm_states():
            known = self._alarms.get(transition.name)
            if is_alarm_name(transition.name) and (known is None or known.mono_ns <= transition.mono_ns):
                self._alarms[transition.name] = transition
        return [
            *(Message(topic=self._topics.hist_birth, payload=birth) for birth in self._births.older),
            *self._birth_messages(),
            self.status("online"),
            *(self._alarm_message(transition) for transition in self._alarms.values()),
        ]

    def _birth_messages(self) -> list[Message]:
        """A retained topic holds one message, so each part of a large dictionary has its own."""
        return [
            Message(topic=self._topics.birth(part), payload=birth, retain=True)
            for part, birth in enumerate(self._births.current)
        ]

    def _say_changes(self) -> None:
        births = self._outbox.births()
        if births.current != self._births.current:
            self._births = births
            for message in self._birth_messages():
                self._session.say(message)
        for transition in self._take_changes():
            self._session.say(self._alarm_message(transition))

    def _take_changes(self) -> list[AlarmTransition]:
        taken = {}
        while self._changes:
            transition = self._changes.popleft()
            if is_alarm_name(transition.name):
                self._alarms[transition.name] = taken[transition.name] = transition
            else:
                self._counters.get(STATE_REFUSED).add()
        return list(taken.values())

    def _alarm_message(self, transition: AlarmTransition) -> Message:
        topic = self._topics.alarm(transition.name)
        return Message(topic=topic, payload=payloads.alarm(transition), retain=True)

    def _publish(self, link: Link, item: Item) -> bool:
        """False when the connection takes nothing more."""
        message = item if isinstance(item, Message) else self._record(item)
        if message is None:
            return True
        size = len(message.payload) + len(message.topic) + _OVERHEAD
        if size > self._max_packet:
            self._park(item, _TOO_LARGE)
            return True
        token = link.publish(message)
        if token is None:
            return False
        if isinstance(item, Send):
            self._counters.get(SENT, item.ref.stream).add()
        self._session.sent(self._clock.mono_ns(), token, item, size)
        return True

    def _record(self, send: Send) -> Message | None:
        record = self._outbox.read(send.ref)
        if record is None:
            self._counters.get(GONE, send.ref.stream).add()
            return None
        return Message(topic=send.topic, payload=record)

    def _park(self, item: Item, code: int) -> None:
        """Counted every time, logged once per reason and connection: an access list that denies a
        topic denies thousands of records."""
        words = PUBACK_WORDS.get(code, f"0x{code:02x}")
        if isinstance(item, Send):
            self._counters.get(PARKED, words).add()
        else:
            self._counters.get(STATE_REFUSED).add()
        if code not in self._reported:
            self._reported.add(code)
            hint = "; hint: check the broker's access list" if code == 0x87 else ""
            log.warning("the broker refuses %s: %s%s", item.topic, words, hint)

    def _settle(self) -> None:
        """Tell the outbox what was acknowledged, many at once."""
        if self._acked:
            acked, self._acked = self._acked, []
            self._outbox.ack(acked)
