"""Misbehaviour on request: which fault a request meets, switchable while the simulator runs.

Owns the kinds of faults, how they are written (`bad_crc:p=0.5`) and when one is due. What a fault
does to a reply is in `slave`. Reads no clock: a fault's time starts when it first sees a request
after it was set. Setting is safe from any thread: the book's table is replaced, never changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from random import Random
from typing import Any

from edge_agent.config.values import duration_ns
from edge_agent.errors import InputError, Problem
from edge_agent.model import MonoNs

EVERY_DEVICE = "*"


class FaultKind(StrEnum):
    SILENCE = "silence"
    LATE = "late"
    BAD_CRC = "bad_crc"
    WRONG_FUNCTION = "wrong_function"
    WRONG_COUNT = "wrong_count"
    WRONG_UNIT = "wrong_unit"
    GLITCH_BEFORE = "glitch_before"
    GLITCH_AFTER = "glitch_after"
    EXCEPTION = "exception"
    SHORT = "short"
    PAUSE = "pause"
    BABBLE = "babble"
    ECHO = "echo"
    PARTIAL_ECHO = "partial_echo"
    NO_VALUE = "no_value"
    SECOND_DEVICE = "second_device"
    SECOND_MASTER = "second_master"
    WRONG_SPEED = "wrong_speed"


FAULT_HELP = {
    FaultKind.SILENCE: "no reply",
    FaultKind.LATE: "a good reply `factor` times `timeout` after the request",
    FaultKind.BAD_CRC: "one bit of the reply is flipped",
    FaultKind.WRONG_FUNCTION: "the reply, CRC good, carries another function code",
    FaultKind.WRONG_COUNT: "the reply, CRC good, carries a register more or less",
    FaultKind.WRONG_UNIT: "the reply, CRC good, carries another unit id",
    FaultKind.GLITCH_BEFORE: "`bytes` of noise just before a good reply",
    FaultKind.GLITCH_AFTER: "`bytes` of noise just after a good reply",
    FaultKind.EXCEPTION: "exception `code` instead of values",
    FaultKind.SHORT: "the reply ends early",
    FaultKind.PAUSE: "a gap of `gap` within a good reply, as adapters make",
    FaultKind.BABBLE: "noise on the line for `burst`, in which nothing is heard",
    FaultKind.ECHO: "the request comes back before the reply, as two-wire adapters do",
    FaultKind.PARTIAL_ECHO: "a part of the request comes back before the reply",
    FaultKind.NO_VALUE: "a good reply whose values say that there is none (NaN, invalid codes)",
    FaultKind.SECOND_DEVICE: "another device with this unit id answers too, over the reply or behind it",
    FaultKind.SECOND_MASTER: "`gap` after a good reply another master's request and its reply are heard",
    FaultKind.WRONG_SPEED: "the reply comes at half the line's speed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault and when it strikes. The defaults strike at every request, for ever."""

    kind: FaultKind
    p: float = 1.0
    """Probability that a request meets it while it is active."""
    period_ns: int = 0
    """It becomes active again every so often; 0: never again."""
    duration_ns: int = 0
    """Active for so long in each period; 0: always."""
    limit: int = 0
    """Strikes so often at most; 0: without end."""
    timeout_ns: int = 500_000_000
    """`late`: the timeout the master is thought to have."""
    factor: tuple[float, float] = (1.0, 3.0)
    """`late`: least and greatest multiple of it."""
    code: int = 4
    """`exception`: 4 is "server device failure"."""
    bytes: int = 1
    """`glitch_*`: how many."""
    gap_ns: int = 5_000_000
    """`pause`: how long; `second_master`: how long after the reply."""
    burst_ns: int = 1_000_000_000
    """`babble`: how long after each request that it strikes."""

    def is_active(self, since_ns: int) -> bool:
        """Whether it may strike `since_ns` after its time began."""
        if not self.duration_ns:
            return True
        return (since_ns % self.period_ns if self.period_ns else since_ns) < self.duration_ns

    def __str__(self) -> str:
        """As it would be written: the kind and what differs from the defaults."""
        default = Fault(kind=self.kind)
        words = [f"{word}={_show(name, getattr(self, name))}" for word, (name, _) in FAULT_WORDS.items()
                 if getattr(self, name) != getattr(default, name)]  # fmt: skip
        return self.kind + (":" + ",".join(words) if words else "")


def _number(low: float, high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise ValueError(f"must be a number from {low:g} to {high:g}") from None
        if not low <= value <= high:
            raise ValueError(f"must be {low:g} to {high:g}")
        return value

    return read


def _integer(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and low <= int(text[:9]) <= high):
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text[:9])

    return read


def _factors(text: str) -> tuple[float, float]:
    low, _, high = text.partition("-")
    factor = _number(0.0, 1000.0)
    pair = factor(low), factor(high or low)
    if pair[0] > pair[1]:
        raise ValueError('must be a range such as "1-3"')
    return pair


# word -> (field, how it is read)
FAULT_WORDS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "p": ("p", _number(0.0, 1.0)),
    "period": ("period_ns", duration_ns),
    "duration": ("duration_ns", duration_ns),
    "limit": ("limit", _integer(0, 1_000_000)),
    "timeout": ("timeout_ns", duration_ns),
    "factor": ("factor", _factors),
    "code": ("code", _integer(1, 255)),
    "bytes": ("bytes", _integer(1, 250)),
    "gap": ("gap_ns", duration_ns),
    "burst": ("burst_ns", duration_ns),
}


def _show(name: str, value: Any) -> str:
    if name.endswith("_ns"):
        return f"{value // 1_000_000}ms" if value % 1_000_000 == 0 else f"{value // 1000}us"
    return f"{value[0]:g}-{value[1]:g}" if name == "factor" else f"{value:g}"


def parse_fault(text: str, file: str = "fault", line: int = 0) -> Fault:
    """`"late:timeout=300ms,factor=1-3,p=0.2"` to a Fault; InputError says what is wrong."""
    kind, _, rest = text.strip().partition(":")
    if kind not in list(FaultKind):
        known = ", ".join(FaultKind)
        raise InputError(
            [Problem(file=file, line=line, key=kind, message="is not a fault", hint=f"known: {known}")]
        )
    fault = Fault(kind=FaultKind(kind))
    problems = []
    for item in filter(None, rest.split(",")):
        word, _, value = item.partition("=")
        name, read = FAULT_WORDS.get(word.strip(), ("", None))
        try:
            if read is None:
                raise ValueError("is not known; known: " + ", ".join(FAULT_WORDS))
            fault = replace(fault, **{name: read(value.strip())})
        except ValueError as error:
            problems.append(
                Problem(file=file, line=line, key=f"{kind}.{word}", message=str(error), value=value)
            )
    if problems:
        raise InputError(problems)
    return fault


def parse_assignment(text: str, file: str = "fault", line: int = 0) -> tuple[str, Fault]:
    """`"press=bad_crc:p=0.5"` to device and fault; `*` is every device."""
    device, equals, fault = text.partition("=")
    if not equals or not device.strip():
        hint = "write DEVICE=KIND, for example press=silence or *=bad_crc:p=0.1"
        raise InputError(
            [Problem(file=file, line=line, key="", message="names no device", value=text, hint=hint)]
        )
    return device.strip(), parse_fault(fault, file, line)


@dataclass(slots=True)
class _Armed:
    """A fault in the book, with what it has done so far."""

    fault: Fault
    began: MonoNs | None = None
    strikes: int = 0

    def strikes_now(self, now: MonoNs, random: Random) -> bool:
        if self.began is None:
            self.began = now
        fault = self.fault
        if (fault.limit and self.strikes >= fault.limit) or not fault.is_active(now - self.began):
            return False
        if fault.p < 1.0 and random.random() >= fault.p:
            return False
        self.strikes += 1
        return True


@dataclass(slots=True)
class FaultBook:
    """The faults in force. One thread asks (`pick`), any thread may `set`, `replace` and `clear`."""

    seed: int = 1
    _armed: dict[str, tuple[_Armed, ...]] = field(default_factory=dict)
    _random: Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = Random(self.seed)

    def set(self, device: str, *faults: Fault | FaultKind | str) -> None:
        """These faults and no others for `device` (`*`: for every device). The first due one strikes."""
        self._armed = self._armed | {device: _arm(faults)}

    def clear(self, device: str | None = None) -> None:
        """No faults for `device`, or none at all."""
        self._armed = {} if device is None else {k: v for k, v in self._armed.items() if k != device}

    def replace(self, book: Mapping[str, tuple[Fault, ...]]) -> None:
        """The whole book at once; faults that stay as they were keep their time and their strikes."""
        old = self._armed
        self._armed = {
            device: old[device] if device in old and _plain(old[device]) == faults else _arm(faults)
            for device, faults in book.items()
        }

    def in_force(self) -> dict[str, tuple[Fault, ...]]:
        return {device: _plain(armed) for device, armed in self._armed.items()}

    def pick(self, device: str, now: MonoNs) -> Fault | None:
        """The fault that this request to `device` meets."""
        book = self._armed
        for armed in book.get(device, ()) + book.get(EVERY_DEVICE, ()):
            if armed.strikes_now(now, self._random):
                return armed.fault
        return None

    def holds(self, device: str, fault: Fault) -> bool:
        """Whether `fault` is still in the book for `device`: a babble ends when it is taken out."""
        book = self._armed
        return any(armed.fault == fault for armed in book.get(device, ()) + book.get(EVERY_DEVICE, ()))


def _arm(faults: tuple[Fault | FaultKind | str, ...]) -> tuple[_Armed, ...]:
    return tuple(_Armed(fault if isinstance(fault, Fault) else parse_fault(fault)) for fault in faults)


def _plain(armed: tuple[_Armed, ...]) -> tuple[Fault, ...]:
    return tuple(entry.fault for entry in armed)
