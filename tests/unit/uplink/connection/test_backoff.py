"""When the broker is tried again."""

from __future__ import annotations

from random import Random

import pytest

from edge_agent.model import NS, MonoNs
from edge_agent.uplink.connection.backoff import Backoff, BackoffPolicy
from edge_agent.uplink.reasons import Cause
from edge_agent.uplink.sending.bucket import TokenBucket

T0 = MonoNs(0)
POLICY = BackoffPolicy()


def _backoff(seed: int = 1) -> Backoff:
    return Backoff(POLICY, Random(seed))


def test_delays_grow_to_the_cap_and_never_vanish() -> None:
    ceilings = [1, 2, 4, 8, 16, 32, 60, 60, 60]
    for seed in range(50):
        backoff = _backoff(seed)
        for ceiling in ceilings:
            assert NS // 2 <= backoff.failed(Cause.UNREACHABLE) <= ceiling * NS


def test_gateways_that_lost_one_broker_do_not_come_back_in_step() -> None:
    delays = set()
    for seed in range(200):
        backoff = _backoff(seed)
        for _ in range(6):
            delay = backoff.failed(Cause.UNREACHABLE)
        delays.add(delay // NS)
    assert len(delays) > 25


@pytest.mark.parametrize(("age_ns", "starts_over"), [(2 * NS - 1, False), (2 * NS, True)])
def test_only_a_connection_that_lasted_ends_the_series(age_ns: int, starts_over: bool) -> None:
    backoff = _backoff()
    for _ in range(5):
        backoff.failed(Cause.UNREACHABLE)
    backoff.lost(Cause.LOST, T0, MonoNs(age_ns))
    assert backoff.failures == (1 if starts_over else 6)


@pytest.mark.parametrize("cause", [Cause.TAKEN_OVER, Cause.BANNED])
def test_a_contested_or_banned_identity_waits_long(cause: Cause) -> None:
    assert all(60 * NS <= _backoff(seed).lost(cause, T0, MonoNs(3600 * NS)) <= 120 * NS for seed in range(50))


def test_a_broker_that_lets_in_and_hangs_up_is_flapping_but_a_link_that_comes_and_goes_is_not() -> None:
    backoff, now = _backoff(), 0
    for round_ in range(4):
        assert backoff.is_flapping is False, round_
        backoff.lost(Cause.LOST, MonoNs(now), MonoNs(now + 10 * NS))
    assert backoff.is_flapping
    assert backoff.lost(Cause.LOST, T0, MonoNs(10 * NS)) >= 60 * NS
    backoff = _backoff()
    for _ in range(60):
        backoff.failed(Cause.UNREACHABLE)
        backoff.lost(Cause.LOST, T0, MonoNs(10 * NS))
        assert not backoff.is_flapping


def test_a_link_that_is_up_every_other_five_seconds_is_used_in_a_third_of_its_windows() -> None:
    backoff, now, windows, end = _backoff(), 0, set(), 600 * NS
    while now < end:  # 60 windows
        phase, offset = divmod(now, 5 * NS)
        if phase % 2 == 0 and offset < 4 * NS:
            windows.add(phase)
            up_since, now = now, (phase + 1) * 5 * NS
            now += backoff.lost(Cause.LOST, MonoNs(up_since), MonoNs(now))
        else:
            now += backoff.failed(Cause.UNREACHABLE)
    assert len(windows) >= 20


def test_a_refused_login_is_not_repeated_at_once() -> None:
    delays = [_backoff(seed).failed(Cause.CREDENTIALS) for seed in range(200)]
    assert max(delays) > 3 * NS


def test_a_token_bucket_gives_its_rate_and_no_more_than_its_burst_at_once() -> None:
    bucket, now = TokenBucket(10, 3), MonoNs(50 * NS)
    assert [bucket.take(now) for _ in range(4)] == [True, True, True, False]
    ready = bucket.ready_at(now)
    assert ready == now + NS // 10
    assert not bucket.take(MonoNs(ready - 1))
    assert bucket.take(ready)
    taken = sum(bucket.take(MonoNs(now + NS + step * NS // 100)) for step in range(1000))
    assert 99 <= taken <= 104
