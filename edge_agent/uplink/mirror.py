"""What is said beside the records: births ahead of the data, the status, the present state of alarms.

Of the uplink's thread, but for `alarm_changed`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence

from edge_agent.clock import Clock
from edge_agent.counters import Counters, declare
from edge_agent.process.results import AlarmTransition
from edge_agent.uplink import payloads
from edge_agent.uplink.connection.wire import Message
from edge_agent.uplink.outbox import Births, Outbox
from edge_agent.uplink.topics import Topics, is_alarm_name

STATE_REFUSED = declare(
    "uplink_state_refused", "births, status, health and alarm states the broker refused", "reason"
)
UNNAMED = "name"
"""The reason for an alarm whose name cannot be part of a topic."""


class Mirror:
    def __init__(
        self, topics: Topics, outbox: Outbox, alarm_states: Callable[[], Sequence[AlarmTransition]],
        clock: Clock, counters: Counters,
    ) -> None:  # fmt: skip
        self._topics = topics
        self._outbox = outbox
        self._alarm_states = alarm_states
        self._clock = clock
        self._counters = counters
        self._alarms: dict[str, AlarmTransition] = {}
        self._changes: deque[AlarmTransition] = deque()
        self._births = Births()

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

    def greeting(self) -> list[Message]:
        """Everything there is to say, in the order in which it is of use."""
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

    def news(self) -> list[Message]:
        """What changed since the last call."""
        births = self._outbox.births()
        messages = []
        if births.current != self._births.current:
            self._births = births
            messages += self._birth_messages()
        return [*messages, *(self._alarm_message(transition) for transition in self._take_changes())]

    def _birth_messages(self) -> list[Message]:
        """A retained topic holds one message, so each part of a large dictionary has its own."""
        return [
            Message(topic=self._topics.birth(part), payload=birth, retain=True)
            for part, birth in enumerate(self._births.current)
        ]

    def _take_changes(self) -> list[AlarmTransition]:
        taken = {}
        while self._changes:
            transition = self._changes.popleft()
            if is_alarm_name(transition.name):
                self._alarms[transition.name] = taken[transition.name] = transition
            else:
                self._counters.get(STATE_REFUSED, UNNAMED).add()
        return list(taken.values())

    def _alarm_message(self, transition: AlarmTransition) -> Message:
        topic = self._topics.alarm(transition.name)
        return Message(topic=topic, payload=payloads.alarm(transition), retain=True)
