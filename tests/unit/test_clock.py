from __future__ import annotations

import re

from edge_agent import clock
from edge_agent.clock import FakeClock, SystemClock, boot_id
from edge_agent.model import MonoNs


def test_sleep_until_never_returns_early_and_not_at_all_for_the_past() -> None:
    real = SystemClock()
    when = MonoNs(real.mono_ns() + 2_000_000)
    real.sleep_until(when)
    assert real.mono_ns() >= when
    real.sleep_until(MonoNs(0))


def test_a_fake_clock_moves_only_when_told_and_steps_apart() -> None:
    fake = FakeClock(mono_ns=5, wall_ns=10)
    fake.sleep_until(MonoNs(8))
    assert (fake.mono_ns(), fake.wall_ns()) == (8, 13)
    fake.step_wall(-100)
    assert (fake.mono_ns(), fake.wall_ns()) == (8, -87)


def test_synchronisation_is_what_the_kernel_says(monkeypatch) -> None:
    for answer in (True, False):
        monkeypatch.setattr(clock, "_adjtimex_synchronised", lambda answer=answer: answer)
        assert SystemClock().synchronised() is answer
    monkeypatch.undo()
    assert clock._adjtimex_synchronised() in (True, False)


def test_the_boot_id_is_32_hex_digits() -> None:
    assert re.fullmatch("[0-9a-f]{32}", boot_id())
