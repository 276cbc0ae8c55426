"""Speeds and formats a line may have, the likeliest first. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge_agent.model import Parity, SerialLink

BAUDS: tuple[int, ...] = (9600, 19200, 38400, 115200, 57600, 4800, 2400, 1200)
"""By how often they are met; the first four are tried unless others are asked for."""
COMMON_BAUDS = BAUDS[:4]
Format = tuple[int, Parity, int]
FORMATS: tuple[Format, ...] = (
    (8, Parity.NONE, 1),
    (8, Parity.EVEN, 1),
    (8, Parity.ODD, 1),
    (8, Parity.NONE, 2),
)
"""8N2 is last: a device with two stop bits understands one, and is understood."""
COMMON_FORMATS = FORMATS[:2]


@dataclass(frozen=True, slots=True)
class Setting:
    """How a serial line is spoken on."""

    baud: int
    format: Format = (8, Parity.NONE, 1)

    def __str__(self) -> str:
        return f"{self.baud} {self.format_text}"

    @property
    def format_text(self) -> str:
        data_bits, parity, stop_bits = self.format
        return f"{data_bits}{parity.value}{stop_bits}"

    def link(self, path: str) -> SerialLink:
        data_bits, parity, stop_bits = self.format
        return SerialLink(path=path, baud=self.baud, data_bits=data_bits, parity=parity, stop_bits=stop_bits)


def settings_of(
    bauds: Sequence[int], formats: Sequence[Format], known: Iterable[Setting] = ()
) -> list[Setting]:
    """Every speed with every format; `known` are those that device profiles name, one entry each."""
    votes = list(known)
    every = [Setting(baud, format_) for baud in bauds for format_ in formats]
    return sorted(every, key=lambda one: (-votes.count(one), _rank(one)))


def _rank(setting: Setting) -> float:
    """A rarer format counts as much as one and a half steps to a rarer speed."""
    baud = BAUDS.index(setting.baud) if setting.baud in BAUDS else len(BAUDS)
    return baud + 1.5 * (FORMATS.index(setting.format) if setting.format in FORMATS else len(FORMATS))
