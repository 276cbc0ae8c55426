"""Pure: what to publish next on a connection, and what the broker's answers mean.

No socket, no clock (`now` is an argument), no thread. The shell asks `next`, publishes it, reports
`sent`, and hands every answer to `answered`; time is asked for by `wake_at` and `overdue`.

Order of what is sent: the greeting (births, status, alarm states); live alarms; the mirror of alarm
states; live events and data; backlog. Invariants:

* at most `window` publishes are unanswered, never more than the broker's Receive Maximum; the last
  places are kept for alarms, and the backlog may not take those of live data either;
* a record is acknowledged only by its own positive answer. Everything else (parked, unanswered, lost
  with the connection) stays in the outbox and is offered again at the next connection;
* no record is published twice on one connection unless its answer asked for it, and then `tries` times.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from edge_agent.model import NS, MonoNs
from edge_agent.uplink.bucket import TokenBucket
from edge_agent.uplink.outbox import Ref, Run
from edge_agent.uplink.queue import Backlog, LiveQueue, up_to
from edge_agent.uplink.reasons import Cause, Verdict, verdict
from edge_agent.uplink.topics import Topics
from edge_agent.uplink.wire import Message

_WAKES_PER_S = 40
"""How often the backlog alone wakes the thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    window: int = 20
    alarm_places: int = 4
    live_places: int = 4
    backlog_rate: int = 200
    """Backlog records a second."""
    backlog_bytes: int = 64 * 1024
    """Backlog bytes in flight: on a slow link an alarm waits behind what is in the send queue."""
    ack_timeout_ns: int = 10 * NS
    """Without any progress while something is unanswered: the connection is given up."""
    pause_ns: int = NS
    pause_cap_ns: int = 60 * NS
    tries: int = 3
    """How often a record is sent on one connection when the broker asks to try later."""


class State(Enum):
    DOWN = "down"
    UP = "up"
    STOPPING = "stopping"
    """Up, but only what is live goes out any more."""


@dataclass(frozen=True, slots=True)
class Send:
    """Publish this record; the shell reads its bytes from the outbox."""

    ref: Ref
    topic: str
    backlog: bool


Item = Message | Send


@dataclass(frozen=True, slots=True)
class Answer:
    verdict: Verdict
    item: Item


@dataclass(frozen=True, slots=True)
class _Flying:
    item: Item
    size: int


class Session:
    def __init__(self, topics: Topics, limits: Limits) -> None:
        self._topics = topics
        self._limits = limits
        self._too_large: set[Ref] = set()
        self._window_cap = limits.window
        self._bucket = TokenBucket(limits.backlog_rate, max(1, limits.backlog_rate // 10))
        self._reset()

    def _reset(self) -> None:
        self.state = State.DOWN
        self.window = 0
        self._greeting: deque[Message] = deque()
        self._mirror: dict[str, Message] = {}
        self._again: deque[Send] = deque()
        self._live = LiveQueue(b"", {})
        self._backlog = Backlog(())
        self._flying: dict[int, _Flying] = {}
        self._tries: Counter[Item] = Counter()
        self._pause_until = MonoNs(0)
        self._pause_ns = self._limits.pause_ns
        self._progress_at = MonoNs(0)

    # --- what happened ------------------------------------------------------------------------

    def connected(
        self,
        now: MonoNs,
        receive_maximum: int,
        greeting: Sequence[Message],
        epoch: bytes,
        tails: Mapping[str, int],
        unacked: Sequence[Run],
    ) -> None:
        """A connection is up. What is appended from here on is live, what waits is the backlog."""
        self._reset()
        self.state = State.UP
        self.window = max(1, min(self._window_cap, receive_maximum))
        self._greeting.extend(greeting)
        self._live = LiveQueue(epoch, tails)
        self._backlog = Backlog(up_to(unacked, epoch, tails))
        self._progress_at = now

    def disconnected(self, cause: Cause) -> None:
        """What was in flight counts as not sent; the receiver drops what arrives twice."""
        if cause is Cause.TOO_LARGE:
            self._suspect_largest()
        elif cause is Cause.WINDOW:
            self._window_cap = max(1, self.window // 2)
        self._reset()

    def appended(self, tails: Mapping[str, int]) -> None:
        self._live.appended(tails)

    def say(self, message: Message) -> None:
        """Publish this retained message soon; a newer one for the same topic replaces it."""
        if self.state is not State.DOWN:
            self._mirror[message.topic] = message

    def sent(self, now: MonoNs, token: int, item: Item, size: int) -> None:
        """`item` was handed to the connection as `token`."""
        if not self._flying:
            self._progress_at = now
        if isinstance(item, Send) and item.backlog:
            self._bucket.take(now)
        self._flying[token] = _Flying(item, size)

    def answered(self, now: MonoNs, token: int, code: int) -> Answer | None:
        """What a PUBACK means; None for one that nobody waits for."""
        flying = self._flying.pop(token, None)
        if flying is None:
            return None
        self._progress_at = now
        item, outcome = flying.item, verdict(code)
        if outcome is Verdict.DONE:
            self._pause_ns = self._limits.pause_ns
            self._tries.pop(item, None)
        elif outcome is Verdict.PAUSE:
            outcome = self._pause(now, item)
        return Answer(outcome, item)

    def progressed(self, now: MonoNs) -> None:
        """Bytes moved: the link is slow, not dead."""
        self._progress_at = now

    def stop(self) -> None:
        if self.state is State.UP:
            self.state = State.STOPPING

    # --- what to do ---------------------------------------------------------------------------

    def next(self, now: MonoNs) -> Item | None:
        """What to publish now, if anything. It is not offered again on this connection, so the shell
        either reports `sent` or leaves it for the next one (not there any more, too large)."""
        if self.state is State.DOWN or now < self._pause_until:
            return None
        free = self.window - len(self._flying)
        if free <= 0:
            return None
        if self._greeting:
            return self._greeting.popleft()
        return self._next_alarm() or (self._next_other(now) if free > self._alarm_places else None)

    def wake_at(self, now: MonoNs) -> MonoNs | None:
        """When `next` or `overdue` may answer differently by time alone."""
        times = []
        if self._flying:
            times.append(MonoNs(self._progress_at + self._limits.ack_timeout_ns))
        if self.state is not State.DOWN and now < self._pause_until:
            times.append(self._pause_until)
        if self.state is State.UP and self._backlog.waiting and self._backlog_has_place():
            # A few at a time: waking for every single token would cost more than sending it.
            times.append(self._bucket.ready_at(now, max(1, self._limits.backlog_rate // _WAKES_PER_S)))
        return min(times, default=None)

    def overdue(self, now: MonoNs) -> bool:
        """Something is unanswered and nothing has moved for the whole ack timeout."""
        return bool(self._flying) and now - self._progress_at >= self._limits.ack_timeout_ns

    @property
    def in_flight(self) -> int:
        return len(self._flying)

    @property
    def is_quiet(self) -> bool:
        """Nothing is unanswered and nothing live waits: a good moment to leave."""
        return not self._flying and not self._greeting and not self._mirror and not self._live.waiting

    # --- inside -------------------------------------------------------------------------------

    @property
    def _alarm_places(self) -> int:
        # A broker that allows one or two publishes leaves nothing to keep back.
        return min(self._limits.alarm_places, self.window // 5)

    def _backlog_has_place(self) -> bool:
        flying = [
            entry for entry in self._flying.values() if isinstance(entry.item, Send) and entry.item.backlog
        ]
        places = max(1, self.window - self._alarm_places - min(self._limits.live_places, self.window // 5))
        return len(flying) < places and sum(entry.size for entry in flying) < self._limits.backlog_bytes

    def _next_alarm(self) -> Item | None:
        if ref := self._live.next(only_alarms=True):
            return self._live_send(ref)
        if self._mirror:
            return self._mirror.pop(next(iter(self._mirror)))
        return None

    def _next_other(self, now: MonoNs) -> Item | None:
        if self._again:
            return self._again.popleft()
        if ref := self._live.next():
            return self._live_send(ref)
        if self.state is State.UP and self._backlog_has_place() and self._bucket.ready_at(now) <= now:
            while ref := self._backlog.next():
                if ref not in self._too_large:
                    return Send(ref, self._topics.hist(ref.stream), backlog=True)
        return None

    def _live_send(self, ref: Ref) -> Send:
        return Send(ref, self._topics.data(ref.stream), backlog=False)

    def _pause(self, now: MonoNs, item: Item) -> Verdict:
        """Everything waits: a quota is the broker's, not one record's."""
        self._pause_until = MonoNs(now + self._pause_ns)
        self._pause_ns = min(2 * self._pause_ns, self._limits.pause_cap_ns)
        self._tries[item] += 1
        if self._tries[item] >= self._limits.tries:
            return Verdict.PARK
        if isinstance(item, Send):
            self._again.append(item)
        else:
            self._mirror.setdefault(item.topic, item)
        return Verdict.PAUSE

    def _suspect_largest(self) -> None:
        """The broker hung up over a size without saying whose: without this, the same record would end
        every connection."""
        records = [entry for entry in self._flying.values() if isinstance(entry.item, Send)]
        if records:
            item = max(records, key=lambda entry: entry.size).item
            assert isinstance(item, Send)
            self._too_large.add(item.ref)
