from __future__ import annotations

import os
import re
import time

import pytest

from edge_agent import clock
from edge_agent.clock import BOOT_VARIABLE, UNKNOWN_BOOT, FakeClock, SystemClock, boot_id
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


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef"),
        ("01234567-89AB-cdef-0123-456789abcdef", "0123456789abcdef0123456789abcdef"),
        ("%b", UNKNOWN_BOOT),
        ("", UNKNOWN_BOOT),
    ],
)
def test_where_proc_has_no_boot_id_the_service_manager_says_it(tmp_path, monkeypatch, said, expected) -> None:
    monkeypatch.setattr(clock, "_BOOT_ID", tmp_path / "boot_id")
    monkeypatch.setenv(BOOT_VARIABLE, said)
    assert boot_id() == expected
    (tmp_path / "boot_id").write_text("fedcba98-7654-3210-fedc-ba9876543210\n")
    assert boot_id() == "fedcba9876543210fedcba9876543210"


@pytest.mark.parametrize(
    ("age_s", "expected"), [(None, False), (0, True), (31_000, True), (33_000, False), (-60, False)]
)
def test_where_the_kernel_may_not_be_asked_timesyncd_is(tmp_path, monkeypatch, age_s, expected) -> None:
    monkeypatch.setattr(clock, "_adjtimex_synchronised", lambda: None)
    monkeypatch.setattr(clock, "_TIMESYNCD", file := tmp_path / "synchronized")
    if age_s is not None:
        file.touch()
        os.utime(file, (time.time() - age_s,) * 2)
    assert SystemClock().synchronised() is expected


@pytest.mark.parametrize(
    ("asked", "traces", "expected"),
    [
        (None, ["chrony"], "chrony"),
        (None, ["ptp4l", "chrony"], "chrony"),
        (None, [], ""),
        (None, ["chrony", "timesyncd"], ""),
        (False, ["chrony"], ""),
        (True, ["chrony"], ""),
    ],
)
def test_a_keeper_of_the_clock_that_cannot_be_asked_is_named(
    tmp_path, monkeypatch, asked, traces, expected
) -> None:
    monkeypatch.setattr(clock, "_adjtimex_synchronised", lambda: asked)
    monkeypatch.setattr(clock, "_TIMESYNCD", tmp_path / "timesyncd")
    monkeypatch.setattr(clock, "_KEEPERS", {name: tmp_path / name for name in ("chrony", "ntpsec", "ptp4l")})
    for name in traces:
        (tmp_path / name).touch()
    assert clock.unasked_keeper() == expected
