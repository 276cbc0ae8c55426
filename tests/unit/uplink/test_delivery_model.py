"""The whole session against a broker that is played by chance: it denies topics for a while, refuses or hangs
up over poison, pauses, answers out of order, cuts, and loses what it took. In virtual time.

In the end every record is where it has to be, and only poison was given up.
"""

from __future__ import annotations

from random import Random

import pytest

from edge_agent.model import NS, MonoNs
from edge_agent.uplink.connection.wire import Message
from edge_agent.uplink.outbox import Ref, Run
from edge_agent.uplink.payloads import Ack
from edge_agent.uplink.reasons import Cause, Verdict
from edge_agent.uplink.sending.confirm import Confirmations
from edge_agent.uplink.sending.items import Item, Send
from edge_agent.uplink.sending.limits import Limits
from edge_agent.uplink.sending.session import Session
from edge_agent.uplink.topics import Topics

E = b"\x01" * 8
STREAMS = ("sample", "summary", "event", "alarm", "audit")
LIMITS = Limits(backlog_rate=1000)
CALM_S = 6 * 3600
"""After this time the broker is kind but for poison; before it, anything goes."""


class World:
    """The outbox, the broker, the network and a receiver."""

    def __init__(self, seed: int, *, confirmed: bool, choking: bool) -> None:
        self.random = Random(seed)
        self.confirm = Confirmations(LIMITS) if confirmed else None
        self.session = Session(Topics("s", "a"), LIMITS, self.confirm)
        self.choking = choking
        self.now = MonoNs(1000 * NS)
        self.began = self.now
        self.tails = dict.fromkeys(STREAMS, 0)
        self.left: set[Ref] = set()
        self.poison: set[Ref] = set()
        self.refused: set[Ref] = set()
        self.have: set[Ref] = set()
        """At the receiver."""
        self.taken: set[Ref] = set()
        """At the broker, on its way to the receiver."""
        self.flying: dict[int, Item] = {}
        self.denied: set[str] = set()
        self.tokens = 0

    @property
    def wild(self) -> bool:
        return (self.now - self.began) // NS < CALM_S

    def append(self, count: int) -> None:
        for _ in range(count):
            stream = self.random.choice(STREAMS)
            self.tails[stream] += 1
            ref = Ref(E, stream, self.tails[stream])
            self.left.add(ref)
            if self.random.random() < 0.01:
                self.poison.add(ref)
        self.session.appended(self.tails)

    def connect(self) -> None:
        runs = [Run(r.epoch, r.stream, r.seq, r.seq) for r in sorted(self.left, key=lambda r: r.seq)]
        greeting = [Message(topic="ea1/s/a/up/status", payload=b"x", retain=True)]
        maximum = self.random.choice([1, 3, 20, 65535])
        self.session.connected(self.now, maximum, greeting, E, self.tails, runs)
        self.flying.clear()

    def cut(self, cause: Cause, *, taken: bool) -> None:
        for send, _ in self.session.disconnected(self.now, cause, taken=taken):
            self._give_up(send.ref)
        self.flying.clear()
        self.now = MonoNs(self.now + self.random.randint(1, 60) * NS)
        self.connect()

    def send_all(self) -> None:
        for _ in range(200):
            item = self.session.next(self.now)
            if item is None:
                break
            if isinstance(item, Send) and item.ref not in self.left:
                self.session.gone(item)
                continue
            self.tokens += 1
            self.session.sent(self.now, self.tokens, item, 100)
            self.flying[self.tokens] = item
            assert len(self.flying) <= self.session.window
            if self._chokes(item):
                self.cut(Cause.LOST, taken=True)

    def answer_some(self) -> None:
        tokens = list(self.flying)
        if self.wild:
            self.random.shuffle(tokens)
            tokens = tokens[: self.random.randint(0, len(tokens))]
        for token in tokens:
            item = self.flying.pop(token)
            code = self._code(item)
            answer = self.session.answered(self.now, token, code)
            assert answer is not None
            assert self.session.answered(self.now, token, 0) is None, "a second answer to one message"
            if code < 0x80 and isinstance(item, Send):
                self.taken.add(item.ref)
            for ref in answer.done:
                assert code < 0x80
                self.left.discard(ref)
            for send, _ in answer.given_up:
                assert answer.verdict is Verdict.DONE, "only when another one passed"
                self._give_up(send.ref)

    def deliver(self) -> None:
        """From the broker to the receiver, which acknowledges what it has without a hole."""
        if self.wild and self.random.random() < 0.05:
            self.taken.clear()
        self.have |= self.taken
        self.taken.clear()
        if self.confirm is None or self.random.random() < 0.3:
            return
        for stream in STREAMS:
            upto = 0
            while (ref := Ref(E, stream, upto + 1)) in self.have or ref in self.refused:
                upto += 1
            if upto:
                _, runs = self.session.receiver_acked(self.now, Ack(E, stream, upto))
                self.left -= {Ref(E, stream, n) for run in runs for n in range(run.first, run.last + 1)}

    def pass_time(self) -> None:
        wake = self.session.wake_at(self.now)
        assert wake is None or wake > self.now, "the thread would spin"
        step = self.random.choice([1, 10, 1000]) * 1_000_000
        self.now = MonoNs(self.now + step if self.flying or wake is None else max(wake, self.now + step))

    def misbehave(self) -> None:
        chance = self.random.random()
        if chance < 0.02:
            topic = f"ea1/s/a/up/{self.random.choice(['data', 'hist'])}/{self.random.choice(STREAMS)}"
            self.denied ^= {topic}
        elif chance < 0.03:
            self.denied ^= {"ea1/s/a/up/status"}
        elif chance < 0.05:
            self.cut(self.random.choice([Cause.LOST, Cause.NO_ACK]), taken=self.random.random() < 0.5)

    def _chokes(self, item: Item) -> bool:
        return self.choking and isinstance(item, Send) and item.ref in self.poison

    def _code(self, item: Item) -> int:
        if isinstance(item, Send) and item.ref in self.poison:
            return 0x99
        if item.topic in self.denied:
            return 0x87
        if self.wild and self.random.random() < 0.01:
            return self.random.choice([0x97, 0x80])
        return 0

    def _give_up(self, ref: Ref) -> None:
        assert ref in self.left
        self.left.discard(ref)
        self.refused.add(ref)


def _play(seed: int, *, choking: bool, confirmed: bool) -> None:
    world = World(seed, confirmed=confirmed, choking=choking)
    world.append(200)
    world.connect()
    for turn in range(4000):
        if world.wild and turn < 1000:
            world.append(world.random.choice([0, 0, 0, 1, 3]))
            world.misbehave()
        elif turn == 1000:
            world.now = MonoNs(world.began + CALM_S * NS)
            world.denied.clear()
        elif turn % 50 == 0:
            world.append(len(STREAMS))
        world.answer_some()
        world.deliver()
        world.send_all()
        world.pass_time()
        if turn > 1200 and not world.left - world.poison:
            break
    assert not world.left - world.poison, f"{len(world.left)} are left after {turn} turns"
    assert world.refused <= world.poison
    stored = {Ref(E, stream, n) for stream in STREAMS for n in range(1, world.tails[stream] + 1)}
    if confirmed:
        assert stored - world.refused - world.left <= world.have, "forgotten, but at no receiver"


@pytest.mark.parametrize("confirmed", [False, True])
@pytest.mark.parametrize("choking", [False, True])
@pytest.mark.parametrize("seed", [1])
def test_every_record_is_delivered_and_only_poison_is_given_up(
    seed: int, choking: bool, confirmed: bool
) -> None:
    _play(seed, choking=choking, confirmed=confirmed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 200))
def test_the_same_in_many_worlds(seed: int) -> None:
    _play(seed, choking=seed % 2 == 0, confirmed=seed % 4 < 2)
