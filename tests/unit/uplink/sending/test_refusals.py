"""What the broker refuses: classes are parked, records set aside, and given up only as exceptions."""

from __future__ import annotations

import pytest

from edge_agent.model import NS, MonoNs
from edge_agent.uplink import reasons
from edge_agent.uplink.connection.wire import Message
from edge_agent.uplink.outbox import Ref
from edge_agent.uplink.reasons import Verdict
from edge_agent.uplink.sending.items import Item, Send
from edge_agent.uplink.sending.refusals import Refusals

T0 = MonoNs(1000 * NS)
MINUTE = 60 * NS
DENIED, FORMAT = reasons.rule(0x87), reasons.rule(0x99)
TOPIC = "ea1/s/a/up/data/sample"


def _record(seq: int, stream: str = "sample") -> Send:
    return Send(Ref(b"\x01" * 8, stream, seq), f"ea1/s/a/up/data/{stream}", backlog=False)


def _at(seconds: float) -> MonoNs:
    return MonoNs(T0 + round(seconds * NS))


def _refusals() -> Refusals:
    return Refusals(MINUTE, 15 * MINUTE)


def _park(refusals: Refusals, *seqs: int) -> None:
    for seq in seqs or (1,):
        refusals.refused(T0, _record(seq), DENIED, Verdict.PARK)


def _probe(refusals: Refusals, now: MonoNs) -> Item:
    item = refusals.next_probe(now) or refusals.next_probe(now, at_last=True)
    assert item is not None
    refusals.sent(item)
    return item


def test_a_parked_class_is_closed_and_the_others_are_not() -> None:
    refusals = _refusals()
    _park(refusals)
    assert refusals.is_closed(TOPIC, T0)
    assert not refusals.is_closed("ea1/s/a/up/hist/sample", T0)
    assert [(one.topic, one.rule.words) for one in refusals.parked()] == [(TOPIC, "not authorised")]


def test_probes_come_after_a_minute_doubling_to_fifteen_and_one_at_a_time() -> None:
    refusals = _refusals()
    _park(refusals, 1, 2)
    now, waits = T0, []
    for _ in range(6):
        when = refusals.wake_at()
        assert when is not None and refusals.is_closed(TOPIC, MonoNs(when - 1))
        waits.append((when - now) // NS)
        now = when
        item = _probe(refusals, now)
        assert refusals.is_closed(TOPIC, now) and refusals.next_probe(now) is None, "one is enough"
        assert not refusals.refused(now, item, DENIED, Verdict.PARK), "it is parked already"
    assert waits == [60, 120, 240, 480, 900, 900]


def test_each_probe_is_another_record() -> None:
    """One that is refused for itself must not keep its class parked for ever."""
    refusals = _refusals()
    _park(refusals, 1, 2, 3)
    probed = []
    for _ in range(3):
        now = refusals.wake_at()
        assert now is not None
        probed.append(_probe(refusals, now))
        refusals.refused(now, probed[-1], FORMAT, Verdict.REFUSE)
    assert probed == [_record(1), _record(2), _record(3)]


def test_where_records_were_refused_for_themselves_another_one_is_the_better_probe() -> None:
    refusals = _refusals()
    for seq in (1, 2, 3):
        refusals.refused(T0, _record(seq), FORMAT, Verdict.REFUSE)
    assert refusals.is_closed(TOPIC, T0) and not refusals.is_closed(TOPIC, _at(60))
    assert refusals.next_probe(_at(60)) is None, "the queue's next comes first"
    assert refusals.next_probe(_at(60), at_last=True) == _record(1)


def test_an_accepted_probe_opens_the_class_and_what_was_set_aside_is_tried_again() -> None:
    refusals = _refusals()
    _park(refusals, 1, 2, 3)
    assert not refusals.accepted(_record(9)).opened, "it was on its way before"
    released = refusals.accepted(_probe(refusals, _at(60)))
    assert released.again == (_record(2), _record(3)) and not released.given_up
    assert released.opened == TOPIC
    assert not refusals.is_closed(TOPIC, _at(60)) and refusals.wake_at() is None


def test_a_new_connection_probes_at_once_and_keeps_the_pause() -> None:
    refusals = _refusals()
    _park(refusals)
    refusals.connected(_at(5))
    assert not refusals.is_closed(TOPIC, _at(5))
    record = _record(1)
    refusals.sent(record)
    refusals.refused(_at(5), record, DENIED, Verdict.PARK)
    assert refusals.wake_at() == _at(5 + 120)


def test_a_refused_record_is_given_up_when_another_of_its_class_passes() -> None:
    refusals = _refusals()
    assert not refusals.refused(T0, _record(1), FORMAT, Verdict.REFUSE)
    assert not refusals.is_closed(TOPIC, T0) and refusals.aside == 1
    assert not refusals.accepted(_record(1, "event")).given_up, "of another class"
    assert refusals.accepted(_record(2)).given_up == ((_record(1), FORMAT),)
    assert not refusals.accepted(_record(3)).given_up


@pytest.mark.parametrize(("in_a_row", "parked"), [(1, False), (2, False), (3, True), (4, True)])
def test_a_broker_that_refuses_one_record_after_the_other_gets_none_given_up(
    in_a_row: int, parked: bool
) -> None:
    refusals = _refusals()
    for seq in range(in_a_row):
        refusals.refused(T0, _record(seq), FORMAT, Verdict.REFUSE)
    assert refusals.is_closed(TOPIC, T0) is parked
    released = refusals.accepted(_record(99))
    assert len(released.given_up) == (0 if parked else in_a_row)


def test_the_states_of_all_alarms_are_one_class() -> None:
    refusals = _refusals()
    first, second = (Message(topic=f"ea1/s/a/up/alarm/{n}", payload=b"x", retain=True) for n in "ab")
    refusals.refused(T0, first, DENIED, Verdict.PARK, keep=False)
    assert refusals.is_closed(second.topic, T0)
    assert refusals.next_probe(_at(60)) is None, "the newest state is asked for, not the refused one"
    refusals.sent(second)
    assert refusals.accepted(second).opened


def test_a_probe_that_the_broker_puts_off_says_nothing() -> None:
    refusals = _refusals()
    _park(refusals)
    item = _probe(refusals, _at(60))
    refusals.put_off(item)
    assert not refusals.is_closed(TOPIC, _at(60))


def test_every_refusal_of_the_standard_has_words_and_a_rule() -> None:
    """MQTT 5.0, table 2.6: what a PUBACK may say, and what brokers say besides."""
    for code in (0x80, 0x83, 0x87, 0x90, 0x91, 0x95, 0x96, 0x97, 0x99):
        rule = reasons.PUBACK[code]
        assert rule.words and rule.verdict is not Verdict.DONE and rule.at_last is not Verdict.PAUSE
    assert reasons.rule(0xFF).words == "0xff"


def test_a_record_set_aside_is_tried_again_while_no_other_passes() -> None:
    refusals = _refusals()
    refusals.refused(T0, _record(1), FORMAT, Verdict.REFUSE)
    assert refusals.next_probe(_at(59)) is None and refusals.wake_at() == _at(60)
    assert _probe(refusals, _at(60)) == _record(1)
    assert not refusals.is_closed(TOPIC, _at(60)), "others may pass at any time"
    refusals.refused(_at(60), _record(1), FORMAT, Verdict.REFUSE)
    assert refusals.wake_at() == _at(60 + 120)
    refusals.refused(_at(61), _record(2), FORMAT, Verdict.REFUSE)
    assert _probe(refusals, _at(181)) == _record(1)
    released = refusals.accepted(_record(1))
    assert released.again == (_record(2),) and not released.given_up, "whoever mended it did so for both"
