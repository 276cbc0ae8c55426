"""The only door to time: monotonic for schedules, wall for labels, and whether wall is trusted.

Everything pure takes `now` as an argument; shells hold a `Clock`. `FakeClock` lets hours of
operation pass in milliseconds of test time.
"""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path
from typing import Protocol

from edge_agent.model import MonoNs, WallNs

_SYNC_EVERY_NS = 1_000_000_000
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_HEX = set("0123456789abcdef")
BOOT_VARIABLE = "EDGE_AGENT_BOOT_ID"
UNKNOWN_BOOT = "0" * 32


class Clock(Protocol):
    def mono_ns(self) -> MonoNs: ...
    def wall_ns(self) -> WallNs: ...
    def sleep_until(self, when: MonoNs) -> None:
        """Return at `when` or a little later, at once if it is past."""

    def synchronised(self) -> bool:
        """Whether the kernel says that the wall clock is disciplined (NTP, PTP, GNSS)."""


class SystemClock:
    """The host's clocks. Source for synchronisation, asked once a second at most: adjtimex(2), TIME_ERROR and
    STA_UNSYNC; where a sandbox forbids that call (ProtectClock=yes), what systemd-timesyncd says."""

    def __init__(self) -> None:
        self._synchronised = False
        self._asked_at = -_SYNC_EVERY_NS

    def mono_ns(self) -> MonoNs:
        return MonoNs(time.monotonic_ns())

    def wall_ns(self) -> WallNs:
        return WallNs(time.time_ns())

    def sleep_until(self, when: MonoNs) -> None:
        while (left := when - time.monotonic_ns()) > 0:
            time.sleep(left / 1e9)

    def synchronised(self) -> bool:
        now = time.monotonic_ns()
        if now - self._asked_at >= _SYNC_EVERY_NS:
            self._asked_at = now
            said = _adjtimex_synchronised()
            self._synchronised = _timesyncd_synchronised() if said is None else said
        return self._synchronised


class FakeClock:
    """A clock that moves only when told; `sleep_until` jumps there."""

    def __init__(self, mono_ns: int = 1_000_000_000, wall_ns: int = 1_700_000_000_000_000_000) -> None:
        self._mono = mono_ns
        self._wall = wall_ns
        self.synced = True

    def mono_ns(self) -> MonoNs:
        return MonoNs(self._mono)

    def wall_ns(self) -> WallNs:
        return WallNs(self._wall)

    def sleep_until(self, when: MonoNs) -> None:
        self.advance(max(0, when - self._mono))

    def synchronised(self) -> bool:
        return self.synced

    def advance(self, ns: int) -> None:
        self._mono += ns
        self._wall += ns

    def step_wall(self, ns: int) -> None:
        """What an operator or NTP does: the wall clock jumps, the monotonic one does not."""
        self._wall += ns


def unasked_keeper() -> str:
    """Who keeps the clock, where only the kernel could say whether it is synchronised and a sandbox forbids
    to ask it; empty where all is well."""
    if _adjtimex_synchronised() is not None or _TIMESYNCD.exists():
        return ""
    return next((name for name, trace in _KEEPERS.items() if trace.exists()), "")


def boot_id() -> str:
    """The kernel's id of this boot (32 hex digits), so that monotonic times can be compared.

    In the sandbox of the service /proc shows processes only, and the service manager says it."""
    try:
        return _BOOT_ID.read_text().strip().replace("-", "")
    except OSError:
        said = os.environ.get(BOOT_VARIABLE, "").replace("-", "").lower()
        return said if len(said) == 32 and set(said) <= _HEX else UNKNOWN_BOOT


# struct timex is 208 bytes on 64-bit and 128 on 32-bit Linux; only `modes` (offset 0, must be 0 to
# read) and `status` matter here, so a larger zeroed buffer serves both.
_TIMEX_BYTES = 512
_TIME_ERROR = 5
_LONG = ctypes.sizeof(ctypes.c_long)
_STATUS_OFFSET = 5 * _LONG
_STA_UNSYNC = 0x40

_TIMESYNCD = Path("/run/systemd/timesync/synchronized")
_KEEPERS = {"chrony": Path("/run/chrony"), "ntpsec": Path("/run/ntpd.pid"), "ptp4l": Path("/run/ptp4l")}
"""What each leaves in /run while it runs, by Debian's packages."""
_TRUSTED_S = 32_000
"""As long as the kernel trusts a clock that is not adjusted: until its error may be 16 s, at 500 ppm."""


def _adjtimex_synchronised() -> bool | None:
    """None where the kernel may not be asked."""
    buffer = ctypes.create_string_buffer(_TIMEX_BYTES)
    try:
        state = ctypes.CDLL(None).adjtimex(buffer)
    except (OSError, AttributeError):
        return None
    if state < 0:
        return None
    status = int.from_bytes(buffer.raw[_STATUS_OFFSET : _STATUS_OFFSET + 4], "little")
    return state != _TIME_ERROR and not status & _STA_UNSYNC


def _timesyncd_synchronised() -> bool:
    """By the file that systemd-timesyncd(8) touches whenever it has adjusted the clock."""
    try:
        age_s = time.time() - _TIMESYNCD.stat().st_mtime
    except OSError:
        return False
    return 0 <= age_s <= _TRUSTED_S
