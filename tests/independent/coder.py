"""Section 6: the rows of kinds 9 and 10."""

from __future__ import annotations

import struct
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from tests.independent.encoding import (
    ALIAS,
    COUNT,
    FLOAT_OR_NIL,
    MAX_ALIAS,
    QUALITY,
    Check,
    Json,
    fields,
    require,
)

NUMBERS = ("min", "max", "mean", "std", "first", "last")
SUMMARY_ROW: dict[str, Check] = {
    "alias": ALIAS,
    "count": COUNT,
    "bad": COUNT,
    "missing": COUNT,
    **dict.fromkeys(NUMBERS, FLOAT_OR_NIL),
    "quality": QUALITY,
}


@dataclass(slots=True)
class Slot:
    """One source of numbers (section 6.3)."""

    domain: int = 0
    known: int = 0
    sign: int = 0
    scale: int = 0
    last: int = 0
    before: int = 0
    mean: int = 0
    cost: list[int] = field(default_factory=lambda: [0, 0, 0])
    low: int = 0
    low_scale: int = 0

    def foreseen(self) -> list[int]:
        return [self.last, 2 * self.last - self.before, (self.mean + 8) // 16]


@dataclass(slots=True)
class PointSlot(Slot):
    """A slot of samples, with what is usual for its rows and their times (section 6.5)."""

    begins: int = 0
    kind: int = 0
    quality: int = 0
    form: int = -1  # none yet
    seen: int = 0
    last_time: int = 0
    step: int = 0
    mean_step: int = 0
    gap: int = 0
    gap_scale: int | None = None


@dataclass(slots=True)
class NumberSlot(Slot):
    """A slot of one of the columns min to last of summaries, by `d` (section 6.6)."""

    kind: int = 0
    numbers: list[int] = field(default_factory=lambda: [0, 0])
    scales: list[int] = field(default_factory=lambda: [0, 0])
    signs: list[int] = field(default_factory=lambda: [0, 0])


class Coder:
    """Bits and numbers out of `data` (sections 6.1 to 6.3). A context is named by a tuple."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 4
        self.range = 2**32
        self.code = int.from_bytes(data[:4].ljust(4, b"\0"), "big")
        self.contexts: defaultdict[tuple[Any, ...], list[int]] = defaultdict(lambda: [32768, 0])  # odds, uses
        self.first_scale: defaultdict[int, int] = defaultdict(int)
        self.first_number: defaultdict[int, int] = defaultdict(int)
        self.second_scale: defaultdict[int, int] = defaultdict(int)

    def bit(self, *name: Any) -> int:
        context = self.contexts[name]
        odds, uses = context
        bound = (self.range >> 16) * odds
        value = int(self.code >= bound)
        if value:
            self.range -= bound
            self.code -= bound
            context[0] -= odds // (uses + 2)
        else:
            self.range = bound
            context[0] += (65536 - odds) // (uses + 2)
        context[1] = min(uses + 1, 126)
        self._renormalise()
        return value

    def _renormalise(self) -> None:
        while self.range < 2**24:
            self.range *= 256
            self.code = self.code * 256 + (self.data[self.at] if self.at < len(self.data) else 0)
            self.at += 1

    def tree(self, bits: int, *name: Any) -> int:
        node = 1
        for _ in range(bits):
            node = node * 2 + self.bit(*name, node)
        return node - 2**bits

    def plain(self, bits: int) -> int:
        value = 0
        while bits > 0:
            count = min(bits, 16)
            bits -= count
            self.range >>= count
            part, self.code = divmod(self.code, self.range)
            require(part < 2**count, "damaged data")
            self._renormalise()
            value = value * 2**count + part
        return value

    def number(self, bank: str, scale: int, sign: int) -> int:
        """Section 6.2."""
        expected = (scale + 8) // 16
        if self.bit(bank, "zero", min(expected, 7), sign == 0) == 0:
            return 0
        usual = max(expected, 1)
        size = (self.tree(6, bank, "size", min(expected, 3)) + usual) % 64
        require(1 <= size <= 60, "damaged data")
        negative = self.bit(bank, "sign", sign)
        value = 1
        if size > 1:
            value = 2 + self.bit(bank, "half", min(max(size - usual, -2), 2))
            value = value * 2 ** (size - 2) + self.plain(size - 2)
        return -value if negative else value

    def in_slot(self, slot: Slot, domain: int) -> int:
        """Section 6.3."""
        if slot.domain != domain:
            error = self.number("FIRST", self.first_scale[domain], 0)
            value = _bounded(self.first_number[domain] + error)
            self.first_scale[domain] = _moved(self.first_scale[domain], error)
            self.first_number[domain] = value
            slot.domain, slot.known, slot.sign = domain, 1, 0
            slot.last = slot.before = value
            slot.mean = 16 * value
            slot.cost = [0, 0, 0]
            slot.low, slot.low_scale = 0, 0
            return value
        ways = slot.foreseen()
        if slot.known == 1:
            error = self.number("SECOND", self.second_scale[domain], 0)
            self.second_scale[domain] = _moved(self.second_scale[domain], error)
            slot.known, slot.scale = 2, 16 * error.bit_length()
        else:
            error = self.number("NEXT", slot.scale, slot.sign)
            slot.scale = _moved(slot.scale, error)
        slot.sign = _sign(error)
        value = _bounded(_cheapest(ways, slot.cost) + error)
        slot.cost = _costs(slot.cost, ways, value)
        slot.before, slot.last = slot.last, value
        slot.mean += (16 * value - slot.mean) // 4
        return value

    def low_bits(self, slot: Slot, bits: int) -> int:
        error = self.number("LOW", slot.low_scale, 0)
        slot.low_scale = _moved(slot.low_scale, error)
        slot.low = (slot.low + error) % 2**bits
        return slot.low


def _moved(scale: int, number: int) -> int:
    return (3 * scale + 16 * number.bit_length() + 2) // 4


def _sign(number: int) -> int:
    return 1 if number > 0 else 2 if number < 0 else 0


def _bounded(value: int) -> int:
    require(abs(value) <= 2**56, "damaged data")
    return value


def _cheapest(ways: list[int], cost: list[int]) -> int:
    return ways[cost.index(min(cost))]


def _costs(cost: list[int], ways: list[int], value: int) -> list[int]:
    return [(7 * old + 16 * (value - way).bit_length()) // 8 for old, way in zip(cost, ways, strict=True)]


# Section 6.4: kinds of values and their domains
NIL, SMALL, SINGLE, DOUBLE, DECIMAL, LARGE, TRUTH, TEXT = range(8)
DOMAIN = {SMALL: 1, SINGLE: 2, DOUBLE: 2, DECIMAL: 4, LARGE: 5, TRUTH: 6, TEXT: 7}


def _float_of(upper: int, low: int) -> float:
    magnitude = -1 - upper if upper < 0 else upper
    require(magnitude < 2**34, "damaged data")
    bits = (upper < 0) << 63 | magnitude << 29 | low
    return struct.unpack(">d", bits.to_bytes(8, "big"))[0]


def _upper_part(value: float) -> int:
    (bits,) = struct.unpack(">Q", struct.pack(">d", value))
    magnitude = (bits % 2**63) >> 29
    return -1 - magnitude if bits >> 63 else magnitude


def _decimal(number: int, form: int) -> float:
    decimals, rounding = divmod(form, 3)
    require(decimals <= 6 and abs(number) < 2 ** (24 if rounding == 1 else 53), "damaged data")
    power = 10**decimals
    if rounding == 2:
        return number * (1 / power)
    return struct.unpack(">f", struct.pack(">f", number / power))[0] if rounding else number / power


class SampleRows(Coder):
    """Section 6.5."""

    def __init__(self, data: bytes, texts: list[str]) -> None:
        super().__init__(data)
        self.texts = texts
        self.time = self.regular = self.form = self.alias_scale = self.time_scale = 0
        self.time_cost = [0, 0, 0]
        self.slots: defaultdict[int, PointSlot] = defaultdict(PointSlot)
        self.next_alias: dict[int, int] = {}
        self.alias = -1  # of the row before, as are kind and quality
        self.kind, self.quality = 1, 0

    def row(self) -> Json:
        alias = self.next_alias.get(self.alias, self.alias + 1)
        begins, kind, quality, seen = self._usual(alias)
        self.regular = self.bit("REGULAR", begins, self.regular, seen)
        if not self.regular:
            if not self.bit("ALIAS", seen):
                step = self.number("ALIASES", self.alias_scale, 0)
                self.alias_scale = _moved(self.alias_scale, step)
                alias += step
                begins, kind, quality, _ = self._usual(alias)
            begins = self.bit("BEGINS", begins)
            if not self.bit("KIND"):
                kind = self.tree(3, "KINDS")
            if not self.bit("QUALITY"):
                quality = self.tree(8, "QUALITIES")
        require(0 <= alias <= MAX_ALIAS, "damaged data")
        self.next_alias[self.alias] = alias
        self.alias, self.kind, self.quality = alias, kind, quality
        slot = self.slots[alias]
        slot.begins, slot.kind, slot.quality = begins, kind, quality
        if begins:
            self._read_time(slot)
        self._learn_time(slot)
        return {"alias": alias, "offset_us": self.time, "value": self._value(slot), "quality": quality}

    def _usual(self, alias: int) -> tuple[int, int, int, bool]:
        """Begins, kind and quality as usual for the alias, and whether it is seen."""
        slot = self.slots.get(alias)
        return (slot.begins, slot.kind, slot.quality, True) if slot else (0, self.kind, self.quality, False)

    def _read_time(self, slot: PointSlot) -> None:
        ways = [self.time + slot.gap] * 3
        if slot.seen == 2:
            ways[1:] = slot.last_time + slot.step, slot.last_time + (slot.mean_step + 8) // 16
        scale = self.time_scale if slot.gap_scale is None else slot.gap_scale
        error = self.number("TIMES", scale, 0)
        new = _bounded(_cheapest(ways, self.time_cost) + error)
        self.time_cost = _costs(self.time_cost, ways, new)
        self.time_scale = _moved(self.time_scale, error)
        slot.gap_scale = _moved(scale, error)
        slot.gap = new - self.time
        self.time = new

    def _learn_time(self, slot: PointSlot) -> None:
        slot.step = self.time - slot.last_time
        if slot.seen == 1:
            slot.mean_step = 16 * slot.step
        elif slot.seen == 2:
            slot.mean_step += (16 * slot.step - slot.mean_step) // 4
        slot.last_time = self.time
        slot.seen = min(slot.seen + 1, 2)

    def _value(self, slot: PointSlot) -> bool | int | float | str | None:
        """Step 6, and section 6.4."""
        kind = slot.kind
        if kind == NIL:
            return None
        if kind == DECIMAL and slot.form < 0:
            if not self.bit("FORM"):
                self.form = self.tree(5, "FORMS")
            slot.form = self.form
        number = self.in_slot(slot, DOMAIN[kind])
        if kind == SMALL:
            return number
        if kind in (SINGLE, DOUBLE):
            return _float_of(number, self.low_bits(slot, 29) if kind == DOUBLE else 0)
        if kind == DECIMAL:
            return _decimal(number, slot.form)
        if kind == LARGE:
            require(-(2**31) <= number < 2**32, "damaged data")
            return number * 2**32 + self.low_bits(slot, 32)
        require(0 <= number < (2 if kind == TRUTH else len(self.texts)), "damaged data")
        return bool(number) if kind == TRUTH else self.texts[number]


class SummaryRows(Coder):
    """Section 6.6."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.form = 0
        self.counters = {name: Slot() for name in ("alias", "count", "bad", "missing", "quality")}
        self.numbers = {name: NumberSlot() for name in NUMBERS}

    def row(self) -> Json:
        row: Json = {name: self.in_slot(slot, 1) for name, slot in self.counters.items()}
        if not self.bit("FORM"):
            self.form = self.tree(5, "FORMS")
        bounds: list[tuple[int, int] | None] = [None, None]  # by d: least and most
        for name, slot in self.numbers.items():
            if not self.bit("KIND_OF", name):
                slot.kind = self.tree(3, "KINDS_OF", name)
            require(slot.kind in (NIL, SINGLE, DOUBLE, DECIMAL), "damaged data")
            row[name] = None if slot.kind == NIL else self._number(name, slot, bounds)
        return fields(row, SUMMARY_ROW, "row")

    def _number(self, name: str, slot: NumberSlot, bounds: list[tuple[int, int] | None]) -> float:
        d = 0 if slot.kind == DECIMAL else 1
        guess = slot.numbers[d]
        if (known := bounds[d]) and name not in ("min", "std"):
            guess = known[0] if name == "max" else sum(known) // 2
        error = self.number("NEXT", slot.scales[d], slot.signs[d])
        slot.scales[d] = _moved(slot.scales[d], error)
        slot.signs[d] = _sign(error)
        number = _bounded(guess + error)
        if slot.kind == DECIMAL:
            value = _decimal(number, self.form)
            counts = {0: number, 1: _upper_part(value)}
        else:
            value = _float_of(number, self.low_bits(slot, 29) if slot.kind == DOUBLE else 0)
            counts = {1: number}
        for which, number in counts.items():
            slot.numbers[which] = number
            if name in ("min", "max"):
                known = bounds[which]
                bounds[which] = (known[0], number) if known else (number, number)
        return value
