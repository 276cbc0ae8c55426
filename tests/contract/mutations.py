"""What can happen to a good reply on its way: seeded, named, with the odds that a CRC does not notice.

Pure. A mutation is a list of (pause before, bytes); nothing here knows how the agent decides. CRCs come
from the simulator's own table, not the agent's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from edge_agent.simulator.wire import rtu_frame
from tests.contract.undetected import PASSES, passing

Piece = tuple[int, bytes]
"""Nanoseconds of silence, then bytes."""

CODES = (1, 4, 5, 6, 8, 10, 11)
"""Exceptions that do not change what is asked next; 2 and 3 are remembered as facts and end the polling."""
_FUNCTIONS = (1, 2, 3, 4, 5, 6, 15, 16, 23, 43)
_EVEN, _ODD = (4, 6, 8, 10), (5, 7, 9, 11)


@dataclass(frozen=True, slots=True)
class Case:
    """One request and the good reply to it."""

    request: bytes
    data: bytes
    begin_ns: int
    """End of the request to the first byte, of a device in its right mind."""
    char_ns: int
    gap_ns: int
    """Pause within a reply that is tolerated."""
    timeout_ns: int

    @property
    def unit(self) -> int:
        return self.request[0]

    @property
    def function(self) -> int:
        return self.request[1]

    @property
    def header(self) -> bytes:
        return bytes((self.unit, self.function, len(self.data)))

    @property
    def frame(self) -> bytes:
        return rtu_frame(self.unit, self.header[1:] + self.data)


@dataclass(frozen=True, slots=True)
class Mutation:
    kind: str
    pieces: tuple[Piece, ...]
    passes: float = 0.0
    """Probability that a frame in it has a good CRC all the same."""
    whole: bool = False
    """The good reply is in it, in time and undisturbed: it must be found."""


Maker = Callable[[Random, Case], Mutation]


def flipped(frame: bytes, bits: list[int]) -> bytes:
    """`bits` count from the end of the frame."""
    changed = bytearray(frame)
    for bit in bits:
        changed[-1 - bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def _flips(dice: Random, case: Case) -> Mutation:
    """Bits of data and CRC; unit, function, count and length stay as asked."""
    size = 8 * (len(case.data) + 2)
    number = dice.choice(_EVEN) if dice.random() < 0.9 else dice.choice((1, 2, 3, *_ODD))
    damaged = flipped(case.frame, dice.sample(range(size), number))
    return Mutation("flips", ((0, damaged),), passes=passing(size, number))


def _flips_anywhere(dice: Random, case: Case) -> Mutation:
    number = dice.randrange(1, 20)
    damaged = flipped(case.frame, dice.sample(range(8 * len(case.frame)), number))
    return Mutation("flips_anywhere", ((0, damaged),), passes=_odds(damaged, case))


def _scrambled(dice: Random, case: Case) -> Mutation:
    damaged = case.header + dice.randbytes(len(case.data) + 2)
    return Mutation("scrambled", ((0, damaged),), passes=PASSES)


def _swapped(dice: Random, case: Case) -> Mutation:
    """Two bytes change places. Their difference times (1 + x**8d) has no factor x**15 + x + 1 below
    d = 32767 / 8, so the CRC notices each of them."""
    frame = bytearray(case.frame)
    one, other = dice.sample(range(len(frame)), 2)
    if frame[one] == frame[other]:
        return _flips(dice, case)
    frame[one], frame[other] = frame[other], frame[one]
    return Mutation("swapped", ((0, bytes(frame)),))


def _odds(damaged: bytes, case: Case) -> float:
    return PASSES if damaged.startswith(case.header) and damaged != case.frame else 0.0


# --- length and pace ------------------------------------------------------------------------------


def _truncated(dice: Random, case: Case) -> Mutation:
    return Mutation("truncated", ((0, case.frame[: dice.randrange(1, len(case.frame))]),))


def _holed(dice: Random, case: Case) -> Mutation:
    """Bytes are lost in the middle and the next frame's beginning follows, so that the length fits."""
    begin = dice.randrange(3, len(case.frame))
    lost = dice.randrange(1, len(case.frame) - begin + 1)
    shifted = case.frame[:begin] + case.frame[begin + lost :] + dice.randbytes(lost)
    return Mutation("holed", ((0, shifted),), passes=_odds(shifted, case))


def _extended(dice: Random, case: Case) -> Mutation:
    return Mutation("extended", ((0, case.frame + dice.randbytes(dice.randrange(1, 40))),), whole=True)


def _cut(dice: Random, frame: bytes, longest_ns: int, shortest_ns: int = 0) -> tuple[Piece, ...]:
    pieces: list[Piece] = []
    places = sorted(dice.sample(range(1, len(frame)), dice.randrange(1, min(5, len(frame)))))
    for begin, end in zip([0, *places], [*places, len(frame)], strict=True):
        pieces.append((dice.randint(shortest_ns, longest_ns) if pieces else 0, frame[begin:end]))
    return tuple(pieces)


def _split(dice: Random, case: Case) -> Mutation:
    return Mutation("split", _cut(dice, case.frame, case.gap_ns * 9 // 10), whole=True)


def _torn(dice: Random, case: Case) -> Mutation:
    """Pauses that nobody waits for: what follows comes out of turn."""
    return Mutation("torn", _cut(dice, case.frame, 8 * case.gap_ns, case.gap_ns * 11 // 10))


def _trickle(dice: Random, case: Case) -> Mutation:
    pause = case.gap_ns // 10
    return Mutation("trickle", tuple((pause, case.frame[n : n + 1]) for n in range(len(case.frame))))


# --- company --------------------------------------------------------------------------------------


def _prefixed(dice: Random, case: Case) -> Mutation:
    noise = dice.randbytes(dice.randrange(1, 21))
    return Mutation("prefixed", ((0, noise + case.frame),), whole=True)


def _lured(dice: Random, case: Case) -> Mutation:
    """Noise that begins like the reply, as if the first attempt had been broken off."""
    lure = case.frame[: dice.randrange(1, len(case.frame))]
    lured = lure + case.frame
    trial = lured[: len(case.frame)]
    return Mutation("lured", ((0, lured),), passes=_odds(trial, case), whole=True)


def _echoed(dice: Random, case: Case) -> Mutation:
    return Mutation("echoed", ((0, case.request), (dice.randrange(2 * case.gap_ns), case.frame)), whole=True)


def _echo_only(dice: Random, case: Case) -> Mutation:
    return Mutation("echo_only", ((0, case.request),))


def _echo_damaged(dice: Random, case: Case) -> Mutation:
    damaged = flipped(case.frame, dice.sample(range(8 * (len(case.data) + 2)), 3))
    return Mutation("echo_damaged", ((0, case.request + damaged),))


def _doubled(dice: Random, case: Case) -> Mutation:
    """At once: the second one's first byte is heard before the line may be spoken on. One that came while
    the same was asked again would be that question's answer to anybody."""
    pause = dice.randrange(2 * case.char_ns)
    pieces = (0, case.frame), (pause, case.frame[:1]), (0, case.frame[1:])
    return Mutation("doubled", pieces, whole=True)


# --- good frames that are not the reply -----------------------------------------------------------


def _wrong_unit(dice: Random, case: Case) -> Mutation:
    unit = dice.choice([unit for unit in range(256) if unit != case.unit])
    return Mutation("wrong_unit", ((0, rtu_frame(unit, case.frame[1:-2])),))


def _wrong_function(dice: Random, case: Case) -> Mutation:
    function = dice.choice([number for number in _FUNCTIONS if number != case.function])
    return Mutation("wrong_function", ((0, rtu_frame(case.unit, bytes((function,)) + case.frame[2:-2])),))


def _wrong_count(dice: Random, case: Case) -> Mutation:
    """Another count, with data that fits it or not."""
    count = dice.choice([count for count in range(251) if count != len(case.data)])
    data = dice.randbytes(count) if dice.random() < 0.5 else case.data
    return Mutation("wrong_count", ((0, rtu_frame(case.unit, bytes((case.function, count)) + data)),))


def _exception(dice: Random, case: Case) -> Mutation:
    refusal = rtu_frame(case.unit, bytes((case.function | 0x80, dice.choice(CODES))))
    return Mutation("exception", ((0, refusal),))


def _exception_damaged(dice: Random, case: Case) -> Mutation:
    """Fewer bits than the CRC's distance: never an exception."""
    refusal = rtu_frame(case.unit, bytes((case.function | 0x80, dice.choice(CODES))))
    return Mutation("exception_damaged", ((0, flipped(refusal, dice.sample(range(40), 3))),))


# --- time -----------------------------------------------------------------------------------------


def _silence(dice: Random, case: Case) -> Mutation:
    return Mutation("silence", ())


def _late(dice: Random, case: Case) -> Mutation:
    """After the timeout, its last byte within three times of it: RTU has no transaction id, so nobody can
    tell a reply that comes later than what was agreed from the reply to the same question asked again."""
    wire_ns = len(case.frame) * case.char_ns
    delay = dice.randint(case.timeout_ns, 3 * case.timeout_ns - wire_ns) - case.begin_ns
    return Mutation("late", ((delay, case.frame),))


OTHERS: tuple[Maker, ...] = (
    _flips_anywhere, _scrambled, _swapped, _truncated, _holed, _extended, _split, _torn, _trickle, _prefixed,
    _lured, _echoed, _echo_only, _echo_damaged, _doubled, _wrong_unit, _wrong_function, _wrong_count,
    _exception, _exception_damaged, _silence, _late,
)  # fmt: skip
"""All but `_flips`, which need most cases because their odds are what is measured."""


def mutate(dice: Random, case: Case, flips: float) -> Mutation:
    """One mutation; `flips` is the share of those that only flip bits of data and CRC."""
    return _flips(dice, case) if dice.random() < flips else dice.choice(OTHERS)(dice, case)
