"""What `edge-agent scan` is asked to do, from its options. Pure."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge_agent.bus.scan.scan import LONG_NS, SHORT_NS, Scan
from edge_agent.bus.scan.settings import (
    BAUDS,
    COMMON_BAUDS,
    COMMON_FORMATS,
    FORMATS,
    Format,
    Setting,
    settings_of,
)
from edge_agent.cli import _link_options
from edge_agent.cli._problems import Problems
from edge_agent.config import values
from edge_agent.errors import InputError
from edge_agent.model import NS, Area, Rs485, TcpLink

_TCP = "tcp://"
_TCP_TIMEOUT_NS = NS
"""A gateway gives a unit that is not there its own time, before it says so."""
_SERIAL = ("baud", "format", "rs485", "every_setting")
_REGISTERS = (Area.HOLDING, Area.INPUT)
_ALL = "all"
_BAUD_RANGE = range(300, 4_000_001)


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("port", metavar="PORT", help="serial port, best as /dev/serial/by-id/..., or tcp://HOST[:PORT]")
    bauds = ",".join(map(str, COMMON_BAUDS))
    add("--baud", metavar="LIST", help=f"speeds, or all (default: {bauds})")
    add("--format", metavar="LIST", help="formats, or all (default: 8N1,8E1)")
    add("--units", default="1-247", metavar="LIST", help="unit ids (default: 1-247)")
    add("--area", choices=_REGISTERS, default="holding", help="what to ask for (default: holding registers)")
    add("--address", type=_address, default=0, metavar="N", help="its wire address (default: 0)")
    add(
        "--timeout",
        metavar="DURATION",
        help="for each unit (default: 60ms; 1s by TCP); late replies count too",
    )
    add("--rs485", action="store_true", help="let the driver switch direction, RTS high while sending")
    add("--every-setting", action="store_true", help="go on with other speeds and formats after one is found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    where: str | TcpLink
    settings: tuple[Setting | None, ...]
    units: tuple[int, ...]
    area: Area
    address: int
    short_ns: int
    long_ns: int
    every_setting: bool
    rs485: Rs485 | None

    def scan(self) -> Scan:
        return Scan(
            self.settings,
            self.units,
            short_ns=self.short_ns,
            long_ns=self.long_ns,
            every_setting=self.every_setting,
        )

    @property
    def is_serial(self) -> bool:
        return isinstance(self.where, str)

    @property
    def has_all_settings(self) -> bool:
        """No usual speed or format is left out."""
        return not self.is_serial or set(settings_of(BAUDS, FORMATS)) <= set(self.settings)


def parse(options: argparse.Namespace, known: Iterable[Setting] = ()) -> Task:
    """`known`: settings that profiles name. Raises InputError with all that is wrong."""
    problems = Problems()
    bauds, formats = COMMON_BAUDS, COMMON_FORMATS
    if options.baud is not None:
        bauds = problems.parsed("--baud", _bauds, options.baud, bauds)
    if options.format is not None:
        formats = problems.parsed("--format", _formats, options.format, formats)
    nobody: tuple[int, ...] = ()
    units = problems.parsed("--units", _units, options.units, nobody)
    default_ns = _TCP_TIMEOUT_NS if options.port.startswith(_TCP) else SHORT_NS
    short_ns = default_ns
    if options.timeout is not None:
        short_ns = problems.parsed("--timeout", values.duration_ns, options.timeout, default_ns)
    if not NS // 100 <= short_ns <= 10 * NS:
        problems.add("--timeout", "must be 10 ms to 10 s", options.timeout)
    where: str | TcpLink = options.port
    settings: Sequence[Setting | None] = settings_of(bauds, formats, known)
    if options.port.startswith(_TCP):
        host, port = problems.parsed("PORT", _tcp_address, options.port, ("", 502))
        where, settings = TcpLink(host=host, port=port), (None,)
        hint = "the line behind a gateway has its own setting"
        _link_options.refuse(options, problems, _SERIAL, "is for a serial port only", hint)
    if problems.all:
        raise InputError(problems.all)
    return Task(
        where=where,
        settings=tuple(settings),
        units=units,
        area=Area(options.area),
        address=options.address,
        short_ns=short_ns,
        long_ns=max(LONG_NS, 3 * default_ns, short_ns),
        every_setting=options.every_setting,
        rs485=Rs485() if options.rs485 else None,
    )


def _tcp_address(text: str) -> tuple[str, int]:
    return values.host_and_port(text.removeprefix(_TCP), 502)


def _bauds(text: str) -> tuple[int, ...]:
    if text == _ALL:
        return BAUDS
    bauds = []
    for word in text.split(","):
        if not (word.isascii() and word.isdecimal() and len(word) < 8 and int(word) in _BAUD_RANGE):
            raise ValueError('is no list of speeds such as "9600,19200", or all')
        bauds.append(int(word))
    return tuple(dict.fromkeys(bauds))


def _formats(text: str) -> tuple[Format, ...]:
    if text == _ALL:
        return FORMATS
    return tuple(dict.fromkeys(values.character_format(word) for word in text.upper().split(",")))


def _units(text: str) -> tuple[int, ...]:
    units = values.unit_ids(text)
    if 0 in units:
        raise ValueError("has unit id 0: it is the broadcast address, and no device answers to it")
    return units


def _address(text: str) -> int:
    try:
        address = int(text, 0)
    except ValueError:
        address = -1
    if not 0 <= address <= 0xFFFF:
        raise argparse.ArgumentTypeError(f"{text!r} is no wire address from 0 to 65535")
    return address
