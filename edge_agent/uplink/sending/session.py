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
from edge_agent.uplink.connection.wire import Message
from edge_agent.uplink.outbox import Ref, Run
from edge_agent.uplink.payloads import Ack
from edge_agent.uplink.reasons import Cause, Rule, Verdict
from edge_agent.uplink.sending.confirm import Confirmations, Word
from edge_agent.uplink.sending.flight import Flight
from edge_agent.uplink.sending.hist import Hist, has_place, kept
from edge_agent.uplink.sending.items import Item, Send
from edge_agent.uplink.sending.limits import Limits
from edge_agent.uplink.sending.queue import Closed, LiveQueue, nothing_closed, up_to, without
from edge_agent.uplink.sending.refusals import Refusals
from edge_agent.uplink.sending.suspects import Suspects
from edge_agent.uplink.topics import Topics


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
        self.refusals = Refusals(limits.park_ns, limits.park_cap_ns)
        self.suspects = Suspects(limits)
        self._hist = Hist(limits, confirm)
        self.replays = self._hist.replays
        self._reset()

    def _reset(self) -> None:
        self.state = State.DOWN
        self.window = 0
        self._greeting: deque[Message] = deque()
        self._mirror: dict[str, Message] = {}
        self._newest: dict[str, Message] = {}
        """Of each retained topic: what is older is not sent behind it, for it would stay there."""
        self._later: deque[Message] = deque()
        self._again: deque[Item] = deque()
        self._live = LiveQueue(b"", {})
        self._hist.begin(())
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
        self._note(greeting)
        self._live = LiveQueue(epoch, tails)
        runs = up_to(unacked, epoch, tails)
        runs = self._confirm.connected(now, runs) if self._confirm else runs
        self._hist.begin(without(runs, self.suspects.refs()))
        self.refusals.connected(now)
        self.suspects.connected(now)

    def disconnected(self, now: MonoNs, cause: Cause, *, taken: bool = False) -> list[tuple[Send, Rule]]:
        """What was in flight counts as not sent; the receiver drops what arrives twice. `taken`: the
        broker's system had every byte. What is given up, because the broker hung up over it again."""
        sends = [entry.item for entry in self._flight if isinstance(entry.item, Send)]
        put_off = [item for item in self._again if isinstance(item, Send)]
        self.replays.put_back([item.ref for item in (*sends, *put_off) if item.replay])
        if cause is Cause.WINDOW:
            self._window_cap = max(1, self.window // 2)
        given_up = self._blame(now, cause, [item.ref for item in sends if not item.replay], taken=taken)
        self._reset()
        return [(self._hist_send(ref), reasons.HANGS_UP) for ref in given_up]

    def appended(self, tails: Mapping[str, int]) -> None:
        self._live.appended(tails)

    def say(self, message: Message) -> None:
        """Publish this message soon; a newer one for the same topic replaces it."""
        if self.state is not State.DOWN:
            self._mirror[message.topic] = message
            self._note((message,))

    def repeat(self, messages: Iterable[Message]) -> None:
        """Publish these again, in this order, behind what is live."""
        if self.state is not State.DOWN:
            self._later = deque(messages)
            self._note(self._later)

    def sent(self, now: MonoNs, token: int, item: Item, size: int) -> None:
        """`item` was handed to the connection as `token`."""
        if isinstance(item, Send):
            if item.backlog:
                self._hist.sent(now)
            if self._confirm and not item.replay:
                self._confirm.sent(now, item.ref)
        self.refusals.sent(item)
        self._flight.sent(now, token, item, size)

    def left_over(self, item: Item) -> None:
        """The connection was gone before it could be sent; what waits in the outbox comes with the next."""
        if isinstance(item, Send) and item.replay:
            self.replays.put_back([item.ref])

    def gone(self, send: Send) -> None:
        """The outbox has it no more."""
        self.refusals.put_off(send)
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
        return self._accepted(now, item) if code < 0x80 else self._refused(now, item, code)

    def unsendable(self, now: MonoNs, item: Item, code: int) -> Answer:
        """Not sent: the broker said beforehand that it would be refused."""
        self.refusals.sent(item)
        return self._refused(now, item, code)

    def receiver_acked(self, now: MonoNs, ack: Ack) -> tuple[Word, list[Run]]:
        """A receiver's word; what is done with."""
        if self._confirm is None:
            return Word.UNKNOWN, []
        return self._confirm.acked(now, ack)

    def looked(self, now: MonoNs, *, heard: bool, moved: bool, taken: bool) -> None:
        """See `Flight.looked`."""
        self._flight.looked(now, heard=heard, moved=moved, taken=taken)

    def stop(self) -> None:
        if self.state is State.UP:
            self.state = State.STOPPING

    # --- what to do ---------------------------------------------------------------------------

    def next(self, now: MonoNs) -> Item | None:
        """What to publish now, if anything. It is not offered again on this connection, so the shell
        reports what became of it: `sent`, `gone`, `unsendable` (too large) or `left_over`."""
        if self.state is State.DOWN or now < self._pause_until:
            return None
        if len(self._flight) >= self.window or self._alone:
            return None
        if self._greeting:
            return self._greeting.popleft()
        if self.state is State.UP and (suspect := self.suspects.next(now)):
            return self._ask_alone(suspect)
        return self._next_alarm(now) or (self._next_other(now) if self._has_room else None)

    def wake_at(self, now: MonoNs) -> MonoNs | None:
        """When `next` or `overdue` may answer differently by time alone: always after `now`, because what
        could be sent now was, or waits for an answer."""
        times = [self._flight.overdue_at()]
        if self.state is State.UP and now >= self._pause_until:
            times += [self.refusals.wake_at(), self.suspects.wake_at()]
            times.append(self._confirm.wake_at() if self._confirm else None)
            if self._has_room and not self._alone and has_place(self._flight, self._limits, self.window):
                times.append(self._hist.wake_at(now, self._closed(self._topics.hist, now)))
        elif self.state is not State.DOWN:
            times.append(self._pause_until)
        return min((when for when in times if when is not None and when > now), default=None)

    def overdue(self, now: MonoNs) -> bool:
        """Something is unanswered, and has been for too long."""
        return self._flight.overdue(now)

    @property
    def in_flight(self) -> int:
        return len(self._flight)

    def is_quiet(self, now: MonoNs) -> bool:
        """Nothing is unanswered and nothing live waits that may be sent: a good moment to leave."""
        waits = self._greeting or any(not self.refusals.is_closed(topic, now) for topic in self._mirror)
        live = self._live.waiting(self._closed(self._topics.data, now))
        return not (len(self._flight) or waits or live)

    # --- inside -------------------------------------------------------------------------------

    @property
    def _has_room(self) -> bool:
        """Beside the places of alarms."""
        return self.window - len(self._flight) > kept(self._limits.alarm_places, self.window)

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
        return self._hist_send(suspect)

    def _next_alarm(self, now: MonoNs) -> Item | None:
        if ref := self._live.next(only_alarms=True, closed=self._closed(self._topics.data, now)):
            return self._live_send(ref)
        topic = next((topic for topic in self._mirror if not self.refusals.is_closed(topic, now)), None)
        return self._mirror.pop(topic) if topic else None

    def _next_other(self, now: MonoNs) -> Item | None:
        if item := self.refusals.next_probe(now) or self._take_again(now):
            return item
        if ref := self._live.next(closed=self._closed(self._topics.data, now)):
            return self._live_send(ref)
        if self.state is not State.UP:
            return None
        while self._later:
            if self._is_newest(message := self._later.popleft()):
                return message
        return self._next_hist(now) or self.refusals.next_probe(now, at_last=True)

    def _next_hist(self, now: MonoNs) -> Send | None:
        if not has_place(self._flight, self._limits, self.window):
            return None
        found = self._hist.next(now, self._closed(self._topics.hist, now))
        return self._hist_send(found[0], replay=found[1]) if found else None

    def _closed(self, topic: Callable[[str], str], now: MonoNs) -> Closed:
        """Of which streams nothing may be sent now."""
        if self.refusals.is_empty:
            return nothing_closed
        return lambda stream: self.refusals.is_closed(topic(stream), now)

    def _live_send(self, ref: Ref) -> Send:
        return Send(ref, self._topics.data(ref.stream), backlog=False)

    def _hist_send(self, ref: Ref, *, replay: bool = False) -> Send:
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

    def _blame(self, now: MonoNs, cause: Cause, flying: Sequence[Ref], *, taken: bool) -> list[Ref]:
        """What is given up, because the connection ended over it again and again."""
        if not (cause is Cause.TOO_LARGE or (cause is Cause.LOST and taken)):
            self.suspects.other_end()
            return []
        given_up = self.suspects.hung_up(now, flying)
        if cause is Cause.TOO_LARGE and flying and not given_up:
            # The broker says what, but not whose: the largest is the first to be asked alone.
            sizes = {one.item.ref: one.size for one in self._flight if isinstance(one.item, Send)}
            self.suspects.suspect([max(flying, key=lambda ref: sizes[ref])])
        return given_up

    def _set_aside(self, item: Item, verdict: Verdict) -> bool:
        """Whether `refusals` is to keep what was refused; what is remembered elsewhere is not."""
        if not isinstance(item, Send):
            self._say_again(item)
            return item.topic == self._topics.hist_birth
        self.suspects.clear(item.ref)
        if item.replay and verdict is Verdict.REFUSE:
            # It was delivered before; this time it is not.
            self.replays.done(item.ref, there=False)
        elif item.replay:
            self.replays.put_back([item.ref])
        return not item.replay

    def _note(self, messages: Iterable[Message]) -> None:
        self._newest.update((message.topic, message) for message in messages if message.retain)

    def _is_newest(self, message: Message) -> bool:
        return not message.retain or self._newest.get(message.topic) is message

    def _say_again(self, message: Message) -> None:
        if message.retain and self._is_newest(message):
            self._mirror.setdefault(message.topic, message)

    def _take_again(self, now: MonoNs) -> Item | None:
        for place, item in enumerate(self._again):
            if not self.refusals.is_closed(item.topic, now):
                del self._again[place]
                return item
        return None

    def _refused(self, now: MonoNs, item: Item, code: int) -> Answer:
        rule = reasons.rule(code)
        verdict = rule.verdict
        if verdict is Verdict.PAUSE:
            verdict = self._pause(now, item, rule)
            if verdict is Verdict.PAUSE:
                self.refusals.put_off(item)
                return Answer(verdict, item)
        keep = self._set_aside(item, verdict)
        return Answer(verdict, item, parked=self.refusals.refused(now, item, rule, verdict, keep=keep))

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
            self._say_again(item)
        return Verdict.PAUSE
