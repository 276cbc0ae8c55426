"""A decoder of kinds 9 and 10 written from section 6 of docs/record-format.md, word for word.

It shares nothing with the kernels but the document. Slow and plain; damaged data raise Damaged.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from typing import Any

LIMIT = 2**56


class Damaged(Exception):
    """The data are not what an encoder writes."""


def bits_of(number: int) -> int:
    return number.bit_length()


def moved(scale: int, number: int) -> int:
    return (3 * scale + 16 * bits_of(abs(number)) + 2) // 4


def foreseen(slot: Slot) -> list[int]:
    return [slot.last, 2 * slot.last - slot.before, (slot.mean + 8) // 16]


def to_float(upper: int, low: int) -> float:
    magnitude = upper if upper >= 0 else -1 - upper
    if magnitude >= 2**34:
        raise Damaged
    bits = (magnitude << 29 | low) + (0 if upper >= 0 else 2**63)
    return struct.unpack(">d", struct.pack(">Q", bits))[0]


def upper_of(value: float) -> int:
    bits = struct.unpack(">Q", struct.pack(">d", value))[0]
    magnitude = (bits % 2**63) >> 29
    return -1 - magnitude if bits >= 2**63 else magnitude


def from_decimal(number: int, form: int) -> float:
    decimals, rounding = divmod(form, 3)
    if decimals > 6 or abs(number) >= (2**24 if rounding == 1 else 2**53):
        raise Damaged
    power = 10.0**decimals
    if rounding == 2:
        return number * (1 / power)
    value = number / power
    return struct.unpack("f", struct.pack("f", value))[0] if rounding == 1 else value


class Slot:
    def __init__(self) -> None:
        self.domain = self.known = self.last = self.before = self.mean = self.sign = self.scale = 0
        self.low = self.low_scale = 0
        self.cost = [0, 0, 0]
        self.alias = -1
        self.follower = -1
        self.begins = self.kind = self.quality = self.seen = 0
        self.last_time = self.step = self.mean_step = self.gap = 0
        self.gap_scale = -1
        self.form = -1


class Column:
    def __init__(self) -> None:
        self.kind = 0
        self.last, self.scale, self.sign = [0, 0], [0, 0], [0, 0]
        self.low = Slot()


class Coder:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0
        self.range, self.code = 2**32, 0
        for _ in range(4):
            self.code = self.code * 256 + self.byte()
        self.contexts: dict[Any, list[int]] = defaultdict(lambda: [32768, 0])
        self.first_number: dict[int, int] = defaultdict(int)
        self.first_scale: dict[int, int] = defaultdict(int)
        self.second_scale: dict[int, int] = defaultdict(int)

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1] if self.at <= len(self.data) else 0

    def end(self) -> None:
        if self.at < len(self.data):
            raise Damaged

    def renormalise(self) -> None:
        while self.range < 2**24:
            self.range, self.code = self.range * 256, self.code * 256 + self.byte()

    def bit(self, *context: Any) -> int:
        pair = self.contexts[context]
        bound = (self.range >> 16) * pair[0]
        if self.code < bound:
            value, self.range = 0, bound
            pair[0] += (65536 - pair[0]) // (pair[1] + 2)
        else:
            value, self.range, self.code = 1, self.range - bound, self.code - bound
            pair[0] -= pair[0] // (pair[1] + 2)
        pair[1] = min(pair[1] + 1, 126)
        self.renormalise()
        return value

    def tree(self, bits: int, *contexts: Any) -> int:
        node = 1
        for _ in range(bits):
            node = node * 2 + self.bit(*contexts, node)
        return node - 2**bits

    def plain(self, bits: int) -> int:
        value = 0
        while bits > 0:
            count = min(bits, 16)
            bits -= count
            self.range >>= count
            part = self.code // self.range
            if part >= 2**count:
                raise Damaged
            self.code -= part * self.range
            self.renormalise()
            value = value * 2**count + part
        return value

    def number(self, bank: str, scale: int, sign: int) -> int:
        expected = (scale + 8) // 16
        if self.bit(bank, "zero", min(expected, 7), sign == 0) == 0:
            return 0
        usual = max(expected, 1)
        size = (self.tree(6, bank, "size", min(expected, 3)) + usual) % 64
        if not 1 <= size <= 60:
            raise Damaged
        negative = self.bit(bank, "sign", sign)
        value = 1
        if size > 1:
            value = 2 + self.bit(bank, "half", min(max(size - usual, -2), 2))
            value = value * 2 ** (size - 2) + self.plain(size - 2)
        return -value if negative else value

    def bounded(self, value: int) -> int:
        if abs(value) > LIMIT:
            raise Damaged
        return value

    def in_slot(self, slot: Slot, domain: int) -> int:
        if slot.domain != domain:
            error = self.number("FIRST", self.first_scale[domain], 0)
            value = self.bounded(self.first_number[domain] + error)
            self.first_scale[domain] = moved(self.first_scale[domain], error)
            self.first_number[domain] = value
            slot.domain, slot.known, slot.sign = domain, 1, 0
            slot.last = slot.before = value
            slot.mean, slot.cost = 16 * value, [0, 0, 0]
            slot.low = slot.low_scale = 0
            return value
        guess = foreseen(slot)[slot.cost.index(min(slot.cost))]
        if slot.known == 1:
            error = self.number("SECOND", self.second_scale[domain], 0)
            self.second_scale[domain] = moved(self.second_scale[domain], error)
            slot.known, slot.scale = 2, 16 * bits_of(abs(error))
        else:
            error = self.number("NEXT", slot.scale, slot.sign)
            slot.scale = moved(slot.scale, error)
        slot.sign = 1 if error > 0 else 2 if error < 0 else 0
        value = self.bounded(guess + error)
        for way, guess in enumerate(foreseen(slot)):
            slot.cost[way] = (7 * slot.cost[way] + 16 * bits_of(abs(value - guess))) // 8
        slot.before, slot.last = slot.last, value
        slot.mean += (16 * value - slot.mean) // 4
        return value

    def low_bits(self, slot: Slot, bits: int) -> int:
        error = self.number("LOW", slot.low_scale, 0)
        slot.low_scale = moved(slot.low_scale, error)
        slot.low = (slot.low + error) % 2**bits
        return slot.low


class Samples:
    """Section 6.5; `rows` gives (microseconds since t0, alias, value, quality)."""

    def __init__(self, data: bytes, texts: list[str]) -> None:
        self.coder, self.texts = Coder(data), texts
        self.time = self.regular = self.form = self.alias_scale = self.time_scale = 0
        self.time_cost = [0, 0, 0]
        self.before: Slot | None = None
        self.slots: dict[int, Slot] = {}

    def rows(self, count: int) -> list[tuple[int, int, Any, int]]:
        result = [self.row() for _ in range(count)]
        self.coder.end()
        return result

    def usual(self, slot: Slot) -> tuple[int, int, int]:
        if slot.seen:
            return slot.begins, slot.kind, slot.quality
        return (0, self.before.kind, self.before.quality) if self.before else (0, 1, 0)

    def slot(self, alias: int) -> Slot:
        if not 0 <= alias < 2**24:
            raise Damaged
        slot = self.slots.setdefault(alias, Slot())
        slot.alias = alias
        return slot

    def row(self) -> tuple[int, int, Any, int]:
        bit = self.coder.bit
        expected = 0
        if self.before:
            expected = self.before.alias + 1 if self.before.follower < 0 else self.before.follower
        guess = self.slots.get(expected, Slot())
        self.regular = bit("REGULAR", self.usual(guess)[0], self.regular, guess.seen > 0)
        if self.regular:
            slot = self.slot(expected)
            begins, kind, quality = self.usual(slot)
        else:
            if not bit("ALIAS", guess.seen > 0):
                distance = self.coder.number("ALIASES", self.alias_scale, 0)
                self.alias_scale = moved(self.alias_scale, distance)
                expected += distance
            slot = self.slot(expected)
            begins, kind, quality = self.usual(slot)
            begins = bit("BEGINS", begins)
            kind = kind if bit("KIND") else self.coder.tree(3, "KINDS")
            quality = quality if bit("QUALITY") else self.coder.tree(8, "QUALITIES")
        slot.begins, slot.kind, slot.quality = begins, kind, quality
        if self.before:
            self.before.follower = slot.alias
        self.before = slot
        if begins:
            self.code_time(slot)
        self.note_time(slot)
        return self.time, slot.alias, self.value(slot), quality

    def code_time(self, slot: Slot) -> None:
        ways = [self.time + slot.gap] * 3
        if slot.seen == 2:
            ways[1:] = slot.last_time + slot.step, slot.last_time + (slot.mean_step + 8) // 16
        scale = slot.gap_scale if slot.gap_scale >= 0 else self.time_scale
        error = self.coder.number("TIMES", scale, 0)
        new = self.coder.bounded(ways[self.time_cost.index(min(self.time_cost))] + error)
        for way, guess in enumerate(ways):
            self.time_cost[way] = (7 * self.time_cost[way] + 16 * bits_of(abs(new - guess))) // 8
        self.time_scale = moved(self.time_scale, error)
        slot.gap_scale = moved(scale, error)
        slot.gap = new - self.time
        self.time = new

    def note_time(self, slot: Slot) -> None:
        step = self.time - slot.last_time
        if slot.seen == 1:
            slot.mean_step = 16 * step
        elif slot.seen == 2:
            slot.mean_step += (16 * step - slot.mean_step) // 4
        slot.step, slot.last_time, slot.seen = step, self.time, min(slot.seen + 1, 2)

    def value(self, slot: Slot) -> Any:
        kind = slot.kind
        if kind == 0:
            return None
        if kind == 4 and slot.form < 0:
            self.form = slot.form = self.form if self.coder.bit("FORM") else self.coder.tree(5, "FORMS")
        number = self.coder.in_slot(slot, 2 if kind == 3 else kind)
        match kind:
            case 1:
                return number
            case 2:
                return to_float(number, 0)
            case 3:
                return to_float(number, self.coder.low_bits(slot, 29))
            case 4:
                return from_decimal(number, slot.form)
            case 5:
                value = number * 2**32 + self.coder.low_bits(slot, 32)
                return self.checked(value, -(2**63) <= value < 2**64)
            case 6:
                return self.checked(bool(number), number in (0, 1))
            case _:
                inside = 0 <= number < len(self.texts)
                return self.checked(self.texts[number] if inside else "", inside)

    def checked(self, value: Any, right: bool) -> Any:
        if not right:
            raise Damaged
        return value


class Summaries:
    """Section 6.6; `rows` gives (alias, count, bad, missing, min, max, mean, std, first, last, quality)."""

    def __init__(self, data: bytes) -> None:
        self.coder = Coder(data)
        self.integers = [Slot() for _ in range(5)]
        self.columns = [Column() for _ in range(6)]
        self.form = 0
        self.ranges: list[list[int]] = [[], []]

    def rows(self, count: int) -> list[tuple[Any, ...]]:
        result = [self.row() for _ in range(count)]
        self.coder.end()
        return result

    def row(self) -> tuple[Any, ...]:
        alias, count, bad, missing, quality = (self.coder.in_slot(slot, 1) for slot in self.integers)
        if not (0 <= alias < 2**24 and min(count, bad, missing) >= 0 and 0 <= quality <= 255):
            raise Damaged
        self.form = self.form if self.coder.bit("FORM") else self.coder.tree(5, "FORMS")
        self.ranges = [[], []]
        return alias, count, bad, missing, *[self.value(place) for place in range(6)], quality

    def value(self, place: int) -> float | None:
        column = self.columns[place]
        if not self.coder.bit("KIND_OF", place):
            column.kind = self.coder.tree(3, "KINDS_OF", place)
        if column.kind == 0:
            return None
        if column.kind not in (2, 3, 4):
            raise Damaged
        if column.kind == 4:
            number = self.number(place, 0)
            value = from_decimal(number, self.form)
            self.note(place, 0, number)
        else:
            upper = self.number(place, 1)
            low = self.coder.low_bits(column.low, 29) if column.kind == 3 else 0
            value = to_float(upper, low)
        self.note(place, 1, upper_of(value))
        return value

    def number(self, place: int, d: int) -> int:
        column, known = self.columns[place], self.ranges[d]
        if place in (0, 3) or not known:
            guess = column.last[d]
        else:
            guess = known[0] if place == 1 else (known[0] + known[1]) // 2
        error = self.coder.number("NEXT", column.scale[d], column.sign[d])
        column.scale[d] = moved(column.scale[d], error)
        column.sign[d] = 1 if error > 0 else 2 if error < 0 else 0
        return self.coder.bounded(guess + error)

    def note(self, place: int, d: int, number: int) -> None:
        self.columns[place].last[d] = number
        if place in (0, 1):
            self.ranges[d] = [self.ranges[d][0] if self.ranges[d] else number, number]
