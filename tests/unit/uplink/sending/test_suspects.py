"""Over which record a broker hangs up: scripts of connections."""

from __future__ import annotations

from edge_agent.model import NS, MonoNs
from edge_agent.uplink.outbox import Ref
from edge_agent.uplink.sending.limits import Limits
from edge_agent.uplink.sending.suspects import Suspects

LIMITS = Limits()
T0 = MonoNs(1000 * NS)


def _ref(seq: int, stream: str = "sample") -> Ref:
    return Ref(b"\x01" * 8, stream, seq)


R, A, B = _ref(1), _ref(2), _ref(3)


def _suspected() -> Suspects:
    suspects = Suspects(LIMITS)
    for flying in ([R, A], [R, B]):
        suspects.connected(T0)
        assert not suspects.hung_up(T0, flying)
    assert R in suspects and A not in suspects and B not in suspects
    return suspects


def _hang_up_alone(suspects: Suspects, now: MonoNs, times: int) -> list[Ref]:
    given_up: list[Ref] = []
    for _ in range(times):
        suspects.connected(now)
        assert not given_up
        given_up = suspects.hung_up(now, [R])
    return given_up


def test_who_was_in_flight_at_the_end_of_two_connections_in_a_row_is_asked_alone_at_once() -> None:
    suspects = _suspected()
    suspects.connected(T0)
    assert suspects.next(T0) == R


def test_an_end_of_another_kind_in_between_clears() -> None:
    suspects = Suspects(LIMITS)
    suspects.hung_up(T0, [R])
    suspects.other_end()
    suspects.hung_up(T0, [R])
    assert R not in suspects


def test_who_passes_is_cleared() -> None:
    suspects = _suspected()
    suspects.accepted(R)
    assert not len(suspects)


def test_who_has_a_strike_comes_behind_the_others_and_once_a_connection() -> None:
    suspects = _suspected()
    _hang_up_alone(suspects, T0, 1)
    suspects.connected(T0)
    later = MonoNs(T0 + LIMITS.suspect_ns)
    assert suspects.next(T0) is None and suspects.wake_at() == later and suspects.next(later) == R
    suspects.tried(R)
    assert suspects.next(later) is None and suspects.wake_at() is None


def test_at_the_last_strike_it_is_given_up_if_others_of_its_stream_passed() -> None:
    suspects = _suspected()
    suspects.accepted(A)
    assert _hang_up_alone(suspects, T0, LIMITS.tries) == [R]
    assert not len(suspects)


def test_a_broker_that_hangs_up_over_everything_costs_no_record() -> None:
    suspects = _suspected()
    suspects.accepted(_ref(9, "event"))
    now, waits = T0, []
    for strike in range(9):
        assert not _hang_up_alone(suspects, now, 1)
        if strike + 1 >= LIMITS.tries:
            suspects.connected(now)
            when = suspects.wake_at()
            assert when is not None
            waits.append((when - now) // NS)
            now = when
    assert waits == [60, 120, 240, 480, 900, 900, 900]
    suspects.accepted(A)
    assert _hang_up_alone(suspects, now, 1) == [R], "once others pass, it is the exception"


def test_several_are_asked_one_after_the_other_the_least_suspicious_first() -> None:
    suspects = _suspected()
    _hang_up_alone(suspects, T0, 1)
    suspects.suspect([A])
    suspects.connected(T0)
    later = MonoNs(T0 + LIMITS.suspect_ns)
    assert suspects.next(later) == A
    suspects.tried(A)
    assert suspects.next(later) == R
