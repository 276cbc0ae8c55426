"""What `edge-agent read` is asked to do, from its options. Pure."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from edge_agent.bus.outcomes import ReadRequest
from edge_agent.cli import _link_options
from edge_agent.cli._problems import Problems
from edge_agent.config import values
from edge_agent.errors import InputError
from edge_agent.model import NS, Area, BusDef, Order, PointType, Rs485, SerialLink, TcpLink

HIGHEST_UNIT = 247
"""Beyond it unit ids are reserved."""
TIMEOUT_NS = NS // 2
_BAUDS = range(50, 4_000_001)


def add_options(parser: argparse.ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--port", help="serial port, best as /dev/serial/by-id/...")
    where.add_argument("--device", metavar="NAME", help="a device of the running agent, by its name there")
    where.add_argument("--tcp", metavar="HOST[:PORT]", help="Modbus TCP server or gateway (port 502)")
    where.add_argument("--tls", metavar="HOST[:PORT]", help="Modbus/TCP Security server (port 802)")
    parser.add_argument("range", metavar="FIRST[-LAST]", help="wire addresses from zero; 0x64 works")
    parser.add_argument("--unit-id", type=int, help="1 to 247")
    parser.add_argument("--reserved-unit", action="store_true", help="allow unit ids 248 to 255")
    parser.add_argument("--area", choices=[*map(str, Area)], default="holding", help="default: holding")
    parser.add_argument("--baud", type=int, help="default: 19200")
    parser.add_argument("--format", help="data bits, parity, stop bits (default: 8N1, ascii 7E1)")
    parser.add_argument("--rs485", action="store_true", help="let the driver switch direction by RTS")
    _link_options.add_options(parser)
    parser.add_argument("--type", choices=[*map(str, PointType)], default="u16", help="default: u16")
    parser.add_argument("--order", choices=[*map(str, Order)], default="abcd", help="default: abcd")
    parser.add_argument("--timeout", metavar="DURATION", help=f"default: {values.show_duration(TIMEOUT_NS)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What to read, from the options."""

    bus: BusDef | None
    """None: the running agent is asked, and knows the line."""
    unit_id: int
    area: Area
    first: int
    count: int
    kind: PointType
    order: Order
    interval_ns: int

    @property
    def timeout_ns(self) -> int:
        """0: the running agent's."""
        return 0 if self.bus is None else self.bus.timeout_ns

    def requests(self) -> list[ReadRequest]:
        """No request longer than the protocol allows, and no value cut by the limit."""
        step = self.area.max_count
        if not self.area.is_bits and self.kind.words:
            step -= step % self.kind.words
        return [
            ReadRequest(0, self.unit_id, self.area, self.first + at, min(step, self.count - at), ())
            for at in range(0, self.count, step)
        ]


def parse(options: argparse.Namespace) -> Task:
    """Raises InputError with all that is wrong."""
    problems = Problems()
    highest = 255 if options.reserved_unit else HIGHEST_UNIT
    if options.unit_id is None:
        problems.add("--unit-id", "is missing", "nothing", "only --device does without")
    elif not 1 <= options.unit_id <= highest:
        problems.add("--unit-id", f"must be 1 to {highest}", options.unit_id, "248-255: --reserved-unit")
    timeout_ns = TIMEOUT_NS
    if options.timeout is not None:
        timeout_ns = problems.parsed("--timeout", values.duration_ns, options.timeout, timeout_ns)
    if not 1 <= timeout_ns <= 60 * NS:
        problems.add("--timeout", "must be more than nothing and at most a minute", options.timeout)
    interval_ns = problems.parsed("--interval", values.duration_ns, options.interval, NS)
    if options.repeat < 0:
        problems.add("--repeat", "cannot be negative", options.repeat)
    area, kind = Area(options.area), PointType(options.type)
    first, count = problems.parsed("FIRST-LAST", _range, options.range, (0, 0))
    if count:
        _check_count(problems, area, kind, first, count)
    link = _link(options, problems)
    if problems.all:
        raise InputError(problems.all)
    where = str(options.port or options.tcp or options.tls)
    return Task(
        bus=None if link is None else BusDef(name=where, link=link, timeout_ns=timeout_ns),
        unit_id=options.unit_id,
        area=area,
        first=first,
        count=count,
        kind=kind,
        order=Order(options.order),
        interval_ns=interval_ns,
    )


def _check_count(problems: Problems, area: Area, kind: PointType, first: int, count: int) -> None:
    if area.is_bits:
        return
    if kind.words and count % kind.words:
        last = first + count - count % kind.words + kind.words - 1
        message = f"{kind} takes {kind.words} registers a value"
        problems.add("FIRST-LAST", message, f"{first}-{first + count - 1}", f"try {first}-{last}")
    if kind is PointType.STRING and count > area.max_count:
        problems.add("FIRST-LAST", f"a string has at most {area.max_count} registers", count)


def _range(text: str) -> tuple[int, int]:
    """(first, count)."""
    first, dash, last = text.partition("-")
    try:
        low = int(first, 0)
        high = int(last, 0) if dash else low
    except ValueError:
        raise ValueError('is not an address or range such as "100", "0-9" or "0x64-0x6f"') from None
    if not 0 <= low <= high <= 0xFFFF:
        raise ValueError("does not lie within 0 to 65535, lower address first")
    return low, high - low + 1


def _link(options: argparse.Namespace, problems: Problems) -> SerialLink | TcpLink | None:
    if options.device is not None:
        _link_options.of_agent(options, problems)
        return None
    if options.baud is not None and options.baud not in _BAUDS:
        problems.add("--baud", "is no speed of a serial port", options.baud)
    network = _link_options.over_network(options, problems)
    if network is not None:
        return network
    data_bits, parity, stop_bits = _link_options.character_format(options, problems)
    return SerialLink(
        path=options.port,
        baud=19200 if options.baud is None else options.baud,
        data_bits=data_bits,
        parity=parity,
        stop_bits=stop_bits,
        rs485=Rs485() if options.rs485 else None,
        framing=_link_options.framing(options),
    )
