"""What the broker took and no receiver has acknowledged: clamped, offered again, never forgotten."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.model import NS, MonoNs
from edge_agent.uplink.outbox import Ref, Run
from edge_agent.uplink.payloads import Ack
from edge_agent.uplink.sending.confirm import Confirmations, Word
from edge_agent.uplink.sending.limits import Limits

E, OLD = b"\x02" * 8, b"\x01" * 8
T0 = MonoNs(1000 * NS)
MINUTE = 60 * NS


def _at(seconds: float) -> MonoNs:
    return MonoNs(T0 + round(seconds * NS))


def _ref(seq: int, epoch: bytes = E) -> Ref:
    return Ref(epoch, "sample", seq)


def _confirmations(published: int = 0, *, sent: int = 0) -> Confirmations:
    found = Confirmations(Limits())
    for seq in range(1, max(published, sent) + 1):
        found.sent(T0, _ref(seq))
        if seq <= published:
            assert not found.published(T0, _ref(seq))
    return found


def _offered(found: Confirmations, now: MonoNs) -> list[int]:
    seqs = []
    backlog = found.offer(now)
    while ref := backlog.next():
        seqs.append(ref.seq)
    return seqs


def _ack(found: Confirmations, upto: int, now: MonoNs = T0, epoch: bytes = E) -> tuple[Word, list[Run]]:
    return found.acked(now, Ack(epoch, "sample", upto))


def test_an_acknowledgement_frees_what_is_published_up_to_it() -> None:
    found = _confirmations(10)
    assert _ack(found, 4) == (Word.TAKEN, [Run(E, "sample", 1, 4)])
    assert found.waiting() == 6
    assert _ack(found, 4) == (Word.REPEATED, [])
    assert _ack(found, 2) == (Word.REPEATED, [])


def test_an_acknowledgement_ahead_frees_only_what_the_broker_took() -> None:
    found = _confirmations(3, sent=5)
    assert _ack(found, 2**62) == (Word.AHEAD, [Run(E, "sample", 1, 3)])
    assert found.published(T0, _ref(4)), "it was on its way when the receiver said that it had it"
    found.sent(T0, _ref(6))
    assert not found.published(T0, _ref(6)), "what was sent later needs a word of its own"


def test_a_receiver_that_joined_later_does_not_speak_for_what_was_before() -> None:
    found = _confirmations(20)
    assert found.acked(T0, Ack(E, "sample", 15, first=9)) == (Word.TAKEN, [Run(E, "sample", 9, 15)])
    assert found.waiting() == 13
    assert _offered(found, _at(60)) == [*range(1, 9), *range(16, 21)]
    assert _ack(found, 20) == (Word.TAKEN, [Run(E, "sample", 1, 8), Run(E, "sample", 16, 20)])


def test_acknowledgements_of_what_was_never_sent_are_told_apart() -> None:
    found = _confirmations(3)
    assert _ack(found, 3, epoch=OLD) == (Word.UNKNOWN, [])
    assert found.acked(T0, Ack(E, "alarm", 1)) == (Word.UNKNOWN, [])


def test_what_is_published_is_not_offered_again_while_a_receiver_makes_progress() -> None:
    found = _confirmations(100)
    for second in range(0, 3000, 50):
        assert not _offered(found, _at(second))
        _ack(found, second // 50 + 1, _at(second))


def test_after_a_minute_without_a_word_the_oldest_are_offered_and_then_ever_more_seldom() -> None:
    found = _confirmations(1000)
    now, waits = T0, []
    for _ in range(9):
        when = found.wake_at()
        assert when is not None and not _offered(found, MonoNs(when - 1))
        assert _offered(found, when) == list(range(1, 65))
        waits.append((when - now) // NS)
        now = when
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert found.is_stalled(now)


def test_where_a_receiver_lacks_what_follows_it_gets_twice_as_much_at_once() -> None:
    """The broker lost everything; nothing waits for another minute once the receiver speaks."""
    found = _confirmations(1000)
    assert _offered(found, _at(60)) == list(range(1, 65))
    _ack(found, 64, _at(61))
    assert _offered(found, _at(61)) == list(range(65, 193))
    _ack(found, 192, _at(62))
    assert _offered(found, _at(62)) == list(range(193, 449))


def test_a_receiver_that_has_the_rest_is_sent_nothing_more() -> None:
    found = _confirmations(1000)
    _offered(found, _at(60))
    _ack(found, 64 + 500, _at(61))
    assert not _offered(found, _at(62))


def test_after_a_reconnection_what_no_broker_took_is_fresh_and_a_little_of_the_rest_comes_again() -> None:
    found = _confirmations(500)
    runs = [Run(OLD, "sample", 3, 9), Run(E, "sample", 1, 700)]
    assert found.connected(_at(5), runs) == [Run(OLD, "sample", 3, 9), Run(E, "sample", 501, 700)]
    assert _offered(found, _at(5)) == list(range(1, 65))


def test_what_the_spool_has_no_more_is_not_waited_for() -> None:
    found = _confirmations(100)
    found.connected(_at(5), [Run(E, "sample", 91, 100)])
    assert found.waiting() == 10
    found.gone(_ref(95))
    assert found.waiting() == 9
    assert _ack(found, 100) == (Word.TAKEN, [Run(E, "sample", 91, 94), Run(E, "sample", 96, 100)])


def test_many_streams_of_which_nothing_waits_are_forgotten() -> None:
    found = Confirmations(Limits())
    for number in range(1000):
        ref = Ref(number.to_bytes(8), "sample", 1)
        found.sent(T0, ref)
        found.published(T0, ref)
        found.acked(T0, Ack(ref.epoch, "sample", 1))
    found.connected(T0, [])
    assert len(found._streams) <= 64


@pytest.mark.parametrize("loss", [0.0, 0.3, 0.6])
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_every_record_reaches_the_receiver_whatever_the_broker_loses(loss: float, seed: int) -> None:
    """A broker that forgets everything it was given in a share of the turns, and connections that end."""
    random = Random(seed)
    found, now, total = Confirmations(Limits()), T0, random.randint(1, 400)
    fresh, have, freed = [Run(E, "sample", 1, total)], set[int](), set[int]()
    for _ in range(300):
        pending = [seq for run in fresh for seq in range(run.first, run.last + 1)] + _offered(found, now)
        fresh = []
        for seq in pending:
            found.sent(now, _ref(seq))
            if found.published(now, _ref(seq)):
                freed.add(seq)
        have |= set() if random.random() < loss else set(pending)
        upto = next(n for n in range(total + 1) if n + 1 not in have)
        _, runs = _ack(found, upto, now) if upto else (Word.REPEATED, [])
        freed |= {seq for run in runs for seq in range(run.first, run.last + 1)}
        assert freed <= have, "nothing is freed that the receiver does not have"
        if len(freed) == total:
            return
        now = found.wake_at() or now
        if random.random() < 0.3:
            left = [Run(E, "sample", seq, seq) for seq in range(1, total + 1) if seq not in freed]
            fresh = found.connected(now, left)
    raise AssertionError(f"{total - len(freed)} of {total} are left")
