"""When an unanswered publish has lasted too long: a slow link, a stopped broker, a lost answer."""

from __future__ import annotations

from edge_agent.model import NS, MonoNs
from edge_agent.uplink.outbox import Ref
from edge_agent.uplink.sending.flight import Flight
from edge_agent.uplink.sending.items import Send

T0 = MonoNs(1000 * NS)


def _at(seconds: float) -> MonoNs:
    return MonoNs(T0 + round(seconds * NS))


def _flight(*sent_at: float) -> Flight:
    flight = Flight(10 * NS)
    for token, seconds in enumerate(sent_at):
        flight.sent(_at(seconds), token, _send(token), 100)
    return flight


def _send(seq: int, *, backlog: bool = False) -> Send:
    return Send(Ref(b"\x01" * 8, "sample", seq), "topic", backlog)


def test_nothing_unanswered_is_never_overdue() -> None:
    assert _flight().overdue_at() is None


def test_a_slow_link_has_as_long_as_bytes_are_taken() -> None:
    flight = _flight(0)
    for second in range(300):
        flight.looked(_at(second), heard=False, moved=True, taken=False)
        assert not flight.overdue(_at(second + 9))
    assert flight.overdue(_at(299 + 10))


def test_a_stopped_broker_whose_system_goes_on_taking_is_noticed() -> None:
    """It takes a record a second into its buffers; the first has been there for ten."""
    flight = _flight(0)
    for second in range(1, 11):
        assert not flight.overdue(_at(second - 0.1))
        flight.looked(_at(second - 0.9), heard=False, moved=True, taken=True)
        flight.sent(_at(second), second, _send(second), 100)
    assert flight.overdue(_at(10.2))


def test_whatever_is_heard_of_the_broker_counts() -> None:
    flight = _flight(0)
    flight.looked(_at(0), heard=False, moved=True, taken=True)
    flight.looked(_at(9), heard=True, moved=False, taken=True)
    assert not flight.overdue(_at(18.9)) and flight.overdue(_at(19))


def test_one_answer_that_never_comes_ends_the_connection_though_others_do() -> None:
    flight = _flight(0)
    flight.looked(_at(0), heard=False, moved=True, taken=True)
    for second in range(60):
        flight.sent(_at(second), 100 + second, _send(second), 100)
        flight.looked(_at(second), heard=True, moved=True, taken=True)
        assert not flight.overdue(_at(second))
        assert flight.answered(_at(second), 100 + second)
    assert flight.overdue(_at(60))


def test_the_backlog_s_part_is_counted() -> None:
    flight = Flight(NS)
    flight.sent(T0, 1, _send(1, backlog=True), 70)
    flight.sent(T0, 2, _send(2), 5)
    assert (len(flight), flight.backlog, flight.backlog_bytes) == (2, 1, 70)
    assert flight.answered(T0, 1) == _send(1, backlog=True)
    assert flight.answered(T0, 1) is None, "a second answer to one message"
    assert (len(flight), flight.backlog, flight.backlog_bytes) == (1, 0, 0)
