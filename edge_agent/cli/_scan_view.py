"""What a search found, as lines for people and as data. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from edge_agent.bus.outcomes import DeviceException, Values
from edge_agent.bus.scan.scan import Scan
from edge_agent.bus.scan.unit import Unit
from edge_agent.bus.wire.frames import exception_name
from edge_agent.cli._read_task import HIGHEST_UNIT, TIMEOUT_NS
from edge_agent.cli._scan_task import Task
from edge_agent.cli._view import table
from edge_agent.config.values import show_host_and_port
from edge_agent.model import NS, Area, TcpLink

_HEAD = ("UNIT", "SPEED", "FORMAT", "REPLY", "ANSWERED", "WITH")


def lines(scan: Scan, area: Area, address: int) -> list[str]:
    found = scan.found
    if not found:
        return ["nothing found"]
    return table([_HEAD, *(_row(unit, area, address) for unit in found)])


def data(scan: Scan, hints: Sequence[str], *, complete: bool) -> dict[str, Any]:
    """JSON-able. `setting` is null by TCP; `latency_ms` is the soonest reply."""
    return {
        "complete": complete,
        "requests": scan.asked,
        "settings": [str(setting) for setting in scan.tried if setting],
        "found": [_entry(unit) for unit in scan.found],
        "unclear": [
            {"unit_id": unit.unit_id, "setting": _setting(unit), "asked": unit.asked} for unit in scan.unclear
        ],
        "hints": list(hints),
    }


def brief(unit: Unit) -> str:
    """One line while the search goes on."""
    where = f" at {unit.setting}" if unit.setting else ""
    return f"unit {unit.unit_id} answers{where} after {_latency_ms(unit):.0f} ms"


def next_command(task: Task, unit: Unit) -> str:
    """What shows that the device is the one that is looked for; a shell and `read` take it as it stands."""
    words = ["edge-agent", "read", *_line(task, unit), "--unit-id", str(unit.unit_id)]
    if unit.unit_id > HIGHEST_UNIT:
        words.append("--reserved-unit")
    slowest_ns = max(answer.latency_ns for answer in unit.answers)
    if 2 * slowest_ns > TIMEOUT_NS:
        words += ["--timeout", f"{min(_ceil(2 * slowest_ns, NS), 60 * NS) // NS}s"]
    return shlex.join([*words, "--area", task.area, str(task.address)])


def _line(task: Task, unit: Unit) -> Iterator[str]:
    if isinstance(task.where, TcpLink):
        yield from ("--tcp", show_host_and_port(task.where.host, task.where.port))
        return
    yield from ("--port", task.where)
    if unit.setting is not None:
        yield from ("--baud", str(unit.setting.baud), "--format", unit.setting.format_text)
    if task.rs485 is not None:
        yield "--rs485"


def _ceil(value: int, step: int) -> int:
    return -(-value // step) * step


def _row(unit: Unit, area: Area, address: int) -> tuple[str, ...]:
    setting = unit.setting
    return (
        str(unit.unit_id),
        str(setting.baud) if setting else "-",
        setting.format_text if setting else "-",
        f"{_latency_ms(unit):.0f} ms",
        f"{unit.answered} of {unit.asked}",
        _with(unit, area, address) + (", twice" if unit.is_double else ""),
    )


def _with(unit: Unit, area: Area, address: int) -> str:
    answer = unit.answers[-1]
    if isinstance(answer, DeviceException):
        return f"exception {answer.code}, {exception_name(answer.code)}"
    return f"value 0x{answer.data.hex()} ({area} {address})"


def _entry(unit: Unit) -> dict[str, Any]:
    answer = unit.answers[-1]
    return {
        "unit_id": unit.unit_id,
        "setting": _setting(unit),
        "latency_ms": round(_latency_ms(unit), 1),
        "asked": unit.asked,
        "answered": unit.answered,
        "value": int.from_bytes(answer.data, "big") if isinstance(answer, Values) else None,
        "exception": answer.code if isinstance(answer, DeviceException) else None,
        "double": unit.is_double,
    }


def _setting(unit: Unit) -> dict[str, Any] | None:
    setting = unit.setting
    return None if setting is None else {"baud": setting.baud, "format": setting.format_text}


def _latency_ms(unit: Unit) -> float:
    return min(answer.latency_ns for answer in unit.answers) / 1e6
