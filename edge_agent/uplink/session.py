"""Pure: what to publish next on a connection, and what the broker's answers mean.

No socket, no clock (`now` is an argument), no thread. The shell asks `next`, publishes it, reports
`sent`, and hands every answer to `answered`; time is asked for by `wake_at` and `overdue`.

Order of what is sent: the greeting (births, status, alarm states); live alarms; the mirror of alarm
states; live events and data; what a rebirth repeats; then, in turn and at a capped rate, the backlog
(alarms and events of it first), replays, and what no receiver acknowledged for long. Invariants:

* at most `window` publishes are unanswered, never more than the broker's Receive Maximum; the last
  places are kept for alarms, and the backlog may not take those of live data either;
* a record is acknowledged only by its own positive answer (and, if so configured, a receiver's).
  Everything else (refused, unanswered, lost with the connection) stays in the outbox and is offered
  again, or given up by the rules of `refusals` and `suspects`, and then declared;
* no record is published twice on one connection unless its answer asked for it, its class was parked,
  a receiver asked for it, or none acknowledged it for long.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from edge_agent.model import MonoNs
from edge_agent.uplink import reasons
from edge_agent.uplink.bucket import TokenBucket
from edge_agent.uplink.confirm import Confirmations, Word
from edge_agent.uplink.flight import Flight
from edge_agent.uplink.items import Item, Send
from edge_agent.uplink.limits import Limits
from edge_agent.uplink.outbox import Ref, Run
from edge_agent.uplink.queue import Backlog, LiveQueue, up_to
from edge_agent.uplink.reasons import Cause, Rule, Verdict
from edge_agent.uplink.refusals import Refusals
from edge_agent.uplink.replay import Replays
from edge_agent.uplink.suspects import Suspects
from edge_agent.uplink.topics import Topics
from edge_agent.uplink.wire import Message

_WAKES_PER_S = 40
"""How often the backlog alone wakes the thread."""


class State(Enum):
    DOWN = "down"
    UP = "up"
    STOPPING = "stopping"
    """Up, but only what is live goes out any more."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an answer means for its item, and for others."""

    verdict: Verdict
    item: Item
    done: tuple[Ref, ...] = ()
    """Never to be asked for again."""
    given_up: tuple[tuple[Send, Rule], ...] = ()
    parked: bool = False
    """Its class is parked now."""
    opened: str = ""
    """This class is parked no longer."""


class Session:
    def __init__(self, topics: Topics, limits: Limits, confirm: Confirmations | None = None) -> None:
        self._topics = topics
        self._limits = limits
        self._confirm = confirm
        """With receivers' acknowledgements."""
        self._window_cap = limits.window
        self._bucket = TokenBucket(limits.backlog_rate, max(1, limits.backlog_rate // 10))
        self.refusals = Refusals(limits.park_ns, limits.park_cap_ns)
        self.suspects = Suspects(limits)
        self.replays = Replays()
        self._reset()

    def _reset(self) -> None:
        self.state = State.DOWN
        self.window = 0
        self._greeting: deque[Message] = deque()
        self._mirror: dict[str, Message] = {}
        self._later: deque[Message] = deque()
        self._again: deque[Item] = deque()
        self._live = LiveQueue(b"", {})
        self._backlog = Backlog()
        self._turn = 0
        self._flight = Flight(self._limits.ack_timeout_ns)
        self._tries: Counter[Item] = Counter()
        self._pause_until = MonoNs(0)
        self._pause_ns = self._limits.pause_ns

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
        runs = up_to(unacked, epoch, tails)
        self._backlog = Backlog(self._confirm.connected(now, runs) if self._confirm else runs)
        self.refusals.connected(now)
        self.suspects.connected(now)

    def disconnected(self, now: MonoNs, cause: Cause, *, taken: bool = False) -> list[tuple[Send, Rule]]:
        """What was in flight counts as not sent; the receiver drops what arrives twice. `taken`: the
        broker's system had every byte. What is given up, because the broker hung up over it again."""
        flying = [entry for entry in self._flight if isinstance(entry.item, Send)]
        refs = [entry.item.ref for entry in flying if isinstance(entry.item, Send) and not entry.item.replay]
        replayed = [entry.item.ref for entry in flying if isinstance(entry.item, Send) and entry.item.replay]
        replayed += [item.ref for item in self._again if isinstance(item, Send) and item.replay]
        self.replays.put_back(replayed)
        given_up: list[Ref] = []
        if cause is Cause.WINDOW:
            self._window_cap = max(1, self.window // 2)
        if cause is Cause.TOO_LARGE and refs:
            # The broker says what, but not whose: the largest is the first to be asked alone.
            largest = max(flying, key=lambda entry: entry.size).item
            given_up = self.suspects.hung_up(now, refs)
            if isinstance(largest, Send) and not given_up:
                self.suspects.suspect([largest.ref])
        elif cause is Cause.LOST and taken:
            given_up = self.suspects.hung_up(now, refs)
        else:
            self.suspects.other_end()
        self._reset()
        return [(self._hist(ref), reasons.HANGS_UP) for ref in given_up]

    def appended(self, tails: Mapping[str, int]) -> None:
        self._live.appended(tails)

    def say(self, message: Message) -> None:
        """Publish this message soon; a newer one for the same topic replaces it."""
        if self.state is not State.DOWN:
            self._mirror[message.topic] = message

    def repeat(self, messages: Iterable[Message]) -> None:
        """Publish these again, in this order, behind what is live."""
        if self.state is not State.DOWN:
            self._later = deque(messages)

    def sent(self, now: MonoNs, token: int, item: Item, size: int) -> None:
        """`item` was handed to the connection as `token`."""
        if isinstance(item, Send):
            if item.backlog:
                self._bucket.take(now)
            if self._confirm and not item.replay:
                self._confirm.sent(now, item.ref)
        self.refusals.sent(item)
        self._flight.sent(now, token, item, size)

    def gone(self, send: Send) -> None:
        """The outbox has it no more."""
        self.suspects.clear(send.ref)
        if send.replay:
            self.replays.done(send.ref, there=False)
        elif self._confirm:
            self._confirm.gone(send.ref)

    def answered(self, now: MonoNs, token: int, code: int) -> Answer | None:
        """What a PUBACK means; None for one that nobody waits for."""
        item = self._flight.answered(now, token)
        if item is None:
            return None
        return self._accepted(now, item) if code < 0x80 else self.refused(now, item, code)

    def refused(self, now: MonoNs, item: Item, code: int) -> Answer:
        """By the broker, or before it was sent because the broker said beforehand that it would."""
        rule = reasons.rule(code)
        verdict = rule.verdict
        if verdict is Verdict.PAUSE:
            verdict = self._pause(now, item, rule)
            if verdict is Verdict.PAUSE:
                self.refusals.put_off(item)
                return Answer(verdict, item)
        keep = self._set_aside(item, verdict)
        return Answer(verdict, item, parked=self.refusals.refused(now, item, rule, verdict, keep=keep))

    def receiver_acked(self, now: MonoNs, epoch: bytes, stream: str, upto: int) -> tuple[Word, list[Run]]:
        """A receiver's word; what is done with."""
        if self._confirm is None:
            return Word.UNKNOWN, []
        return self._confirm.acked(now, epoch, stream, upto)

    def looked(self, now: MonoNs, *, heard: bool, moved: bool, taken: bool) -> None:
        """See `Flight.looked`."""
        self._flight.looked(now, heard=heard, moved=moved, taken=taken)

    def stop(self) -> None:
        if self.state is State.UP:
            self.state = State.STOPPING

    # --- what to do ---------------------------------------------------------------------------

    def next(self, now: MonoNs) -> Item | None:
        """What to publish now, if anything. It is not offered again on this connection, so the shell
        reports what became of it: `sent`, `gone`, or `refused` (too large)."""
        if self.state is State.DOWN or now < self._pause_until:
            return None
        free = self.window - len(self._flight)
        if free <= 0 or self._alone:
            return None
        if self._greeting:
            return self._greeting.popleft()
        if self.state is State.UP and (suspect := self.suspects.next(now)):
            return self._ask_alone(suspect)
        return self._next_alarm(now) or (self._next_other(now) if free > self._alarm_places else None)

    def wake_at(self, now: MonoNs) -> MonoNs | None:
        """When `next` or `overdue` may answer differently by time alone."""
        times = [self._flight.overdue_at()]
        if self.state is not State.DOWN and now < self._pause_until:
            times.append(self._pause_until)
        if self.state is State.UP:
            times += [self.refusals.wake_at(), self._confirm.wake_at() if self._confirm else None]
            times.append(None if len(self._flight) else self.suspects.wake_at())
            if self._backlog_has_place() and self._backlog_waits(now):
                # A few at a time: waking for every single token would cost more than sending it.
                tokens = max(1, self._limits.backlog_rate // _WAKES_PER_S)
                times.append(self._bucket.ready_at(now, tokens))
        return min((when for when in times if when is not None), default=None)

    def overdue(self, now: MonoNs) -> bool:
        """Something is unanswered, and has been for too long."""
        return self._flight.overdue(now)

    @property
    def in_flight(self) -> int:
        return len(self._flight)

    def is_quiet(self, now: MonoNs) -> bool:
        """Nothing is unanswered and nothing live waits that may be sent: a good moment to leave."""
        waits = self._greeting or any(not self.refusals.is_closed(topic, now) for topic in self._mirror)
        return not len(self._flight) and not waits and not self._live.waiting(self._closed_data(now))

    # --- inside -------------------------------------------------------------------------------

    @property
    def _alarm_places(self) -> int:
        # A broker that allows one or two publishes leaves nothing to keep back.
        return min(self._limits.alarm_places, self.window // 5)

    @property
    def _alone(self) -> bool:
        """A suspect is on its way."""
        if len(self._flight) != 1 or not len(self.suspects):
            return False
        return any(isinstance(one.item, Send) and one.item.ref in self.suspects for one in self._flight)

    def _ask_alone(self, suspect: Ref) -> Send | None:
        if len(self._flight):
            return None
        self.suspects.tried(suspect)
        return self._hist(suspect)

    def _backlog_has_place(self) -> bool:
        places = max(1, self.window - self._alarm_places - min(self._limits.live_places, self.window // 5))
        return self._flight.backlog < places and self._flight.backlog_bytes < self._limits.backlog_bytes

    def _next_alarm(self, now: MonoNs) -> Item | None:
        if ref := self._live.next(only_alarms=True, closed=self._closed_data(now)):
            return self._live_send(ref)
        topic = next((topic for topic in self._mirror if not self.refusals.is_closed(topic, now)), None)
        return self._mirror.pop(topic) if topic else None

    def _next_other(self, now: MonoNs) -> Item | None:
        if item := self.refusals.next_probe(now) or self._take_again(now):
            return item
        if ref := self._live.next(closed=self._closed_data(now)):
            return self._live_send(ref)
        if self.state is not State.UP:
            return None
        if self._later:
            return self._later.popleft()
        if self._backlog_has_place() and self._bucket.ready_at(now) <= now:
            return self._next_hist(now)
        return None

    def _next_hist(self, now: MonoNs) -> Send | None:
        """The three sources in turn, so that none waits for the end of another; but alarms first."""
        closed = self._closed_hist(now)
        backlog = self._backlog
        while ref := backlog.next(only_first=True, closed=closed):
            if ref not in self.suspects:
                return self._hist(ref)
        sources: list[Callable[[], Ref | None]] = [lambda: backlog.next(closed=closed)]
        sources.append(lambda: self.replays.next(closed))
        if self._confirm:
            again = self._confirm.offer(now)
            sources.append(lambda: again.next(closed=closed))
        for turn in range(len(sources)):
            which = (self._turn + turn) % len(sources)
            while ref := sources[which]():
                if which == 1 or ref not in self.suspects:
                    self._turn = which + 1
                    return self._hist(ref, replay=which == 1)
        return None

    def _backlog_waits(self, now: MonoNs) -> bool:
        closed = self._closed_hist(now)
        if self._backlog.is_open(closed) or self.replays.is_open(closed):
            return True
        return self._confirm is not None and self._confirm.offer(now).is_open(closed)

    def _closed_data(self, now: MonoNs) -> Callable[[str], bool]:
        return lambda stream: self.refusals.is_closed(self._topics.data(stream), now)

    def _closed_hist(self, now: MonoNs) -> Callable[[str], bool]:
        return lambda stream: self.refusals.is_closed(self._topics.hist(stream), now)

    def _live_send(self, ref: Ref) -> Send:
        return Send(ref, self._topics.data(ref.stream), backlog=False)

    def _hist(self, ref: Ref, *, replay: bool = False) -> Send:
        return Send(ref, self._topics.hist(ref.stream), backlog=True, replay=replay)

    def _accepted(self, now: MonoNs, item: Item) -> Answer:
        self._pause_ns = self._limits.pause_ns
        self._tries.pop(item, None)
        released = self.refusals.accepted(item)
        self._again.extend(released.again)
        done: tuple[Ref, ...] = ()
        if isinstance(item, Send):
            self.suspects.accepted(item.ref)
            if item.replay:
                self.replays.done(item.ref)
            elif self._confirm is None or self._confirm.published(now, item.ref):
                done = (item.ref,)
        return Answer(Verdict.DONE, item, done, released.given_up, opened=released.opened)

    def _set_aside(self, item: Item, verdict: Verdict) -> bool:
        """Whether `refusals` is to keep what was refused; what is remembered elsewhere is not."""
        if not isinstance(item, Send):
            if item.retain:
                self._mirror.setdefault(item.topic, item)
            return item.topic == self._topics.hist_birth
        self.suspects.clear(item.ref)
        if item.replay and verdict is Verdict.REFUSE:
            # It was delivered before; this time it is not.
            self.replays.done(item.ref, there=False)
        elif item.replay:
            self.replays.put_back([item.ref])
        return not item.replay

    def _take_again(self, now: MonoNs) -> Item | None:
        for place, item in enumerate(self._again):
            if not self.refusals.is_closed(item.topic, now):
                del self._again[place]
                return item
        return None

    def _pause(self, now: MonoNs, item: Item, rule: Rule) -> Verdict:
        """Everything waits: a quota is the broker's, not one record's."""
        self._tries[item] += 1
        if now >= self._pause_until:
            # Others were in flight with the first that was refused, and are one refusal with it.
            self._pause_until = MonoNs(now + self._pause_ns)
            self._pause_ns = min(2 * self._pause_ns, self._limits.pause_cap_ns)
        if self._tries[item] >= self._limits.tries:
            return rule.at_last
        if isinstance(item, Send) or not item.retain:
            self._again.append(item)
        else:
            self._mirror.setdefault(item.topic, item)
        return Verdict.PAUSE
