"""What a search amounts to, in a technician's words: what was heard besides, and what to try next. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from edge_agent.bus.scan.scan import Scan
from edge_agent.bus.scan.settings import Setting
from edge_agent.bus.scan.unit import Unit

_MANY = 20
"""Devices by TCP that no line behind a gateway has."""


def hints(scan: Scan, *, complete: bool, all_settings: bool) -> list[str]:
    """`all_settings`: no further speed or format is left to try."""
    return [
        *_doubles(scan),
        *_unclear(scan.unclear),
        *_foreign(scan),
        *_nothing(scan, complete, all_settings),
    ]


def _doubles(scan: Scan) -> Iterator[str]:
    for unit in scan.found:
        if unit.is_double:
            yield (
                f"unit {unit.unit_id} answered more often than it was asked: two devices have this unit id;"
                " disconnect one and give the other another id"
            )
        elif unit.rubbish:
            yield (
                f"unit {unit.unit_id} answered {unit.answered} of {unit.asked} times and garbage came"
                " otherwise: noise, no termination, another master, or a second device with this unit id"
            )


def _unclear(units: Iterable[Unit]) -> Iterator[str]:
    for unit in units:
        yield (
            f"something answers as unit {unit.unit_id} {_at(unit.setting)}, and never in a valid frame: two"
            " devices with this unit id at once, noise, or almost the right speed and format"
        )


def _foreign(scan: Scan) -> Iterator[str]:
    if scan.masters:
        units = ", ".join(str(unit) for unit in sorted(scan.masters)[:10])
        yield f"another master is on this line, it asks for unit {units}: stop it, or both get garbage"
    for setting in scan.loud:
        yield (
            f"bytes without end {_at(setting)}, the rest was not asked there: another speed, another master,"
            " or a device that speaks by itself"
        )
    for setting, why in scan.refused.items():
        yield f"not tried {_at(setting)}: {why}"
    if scan.glitches * 2 > scan.asked > 0:
        yield "one or two bytes come back to most requests: the line has no bias (failsafe resistors)"
    if scan.gateway and not scan.found:
        yield f"a gateway says {scan.gateway} times that the unit is not there: is the line behind it wired?"
    if None in scan.tried and len(scan.found) >= _MANY:
        yield "every unit id answers alike: this is one device with a network socket and no gateway"


def _nothing(scan: Scan, complete: bool, all_settings: bool) -> Iterator[str]:
    if scan.found or not complete:
        return
    more = "" if all_settings else "; try --baud all --format all"
    if scan.rubbish:
        loudest, count = scan.rubbish.most_common(1)[0]
        yield f"{count} bytes were heard {_at(loudest)} and made no frame: something is there{more}"
    elif not scan.gateway:
        yield f"nothing was heard: is it powered, are A and B the right way round, is it Modbus RTU{more}?"
        yield "some devices keep silent on what they do not have: --area input, or --address of a register"


def _at(setting: Setting | None) -> str:
    return f"at {setting}" if setting else "there"
