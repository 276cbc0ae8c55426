"""A snapshot of the status socket as lines for a terminal. Pure."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Snapshot = Mapping[str, Any]

SOCKET_HELP = "status socket; default: $EDGE_AGENT_SOCKET, else /run/edge-agent/status.sock"


def overview(snapshot: Snapshot) -> list[str]:
    """The agent, its buses with every device, raised alarms, the spool and the uplink."""
    return [
        *_agent(snapshot),
        *(line for bus in snapshot["buses"] for line in _bus(bus)),
        *_alarms(snapshot["alarms"]),
        *_spool(snapshot["spool"]),
        *_uplink(snapshot["uplink"]),
    ]


def values(snapshot: Snapshot) -> list[str]:
    """Every point's latest value with unit, quality and age."""
    rows = [("POINT", "VALUE", "UNIT", "QUALITY", "AGE")]
    for point in snapshot["points"]:
        name = f"{point['device']}.{point['point']}"
        rows.append((name, value(point["value"]), point["unit"], point["quality"], age(point["age_s"])))
    return table(rows)


def value(number: float | str | None) -> str:
    if number is None:
        return "-"
    return f"{number:.6g}" if isinstance(number, float) else str(number)


def age(seconds: float | None) -> str:
    """`0.3 s`, `12 s`, `5 min`, `3 h`, `2 d`."""
    if seconds is None:
        return "-"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as their widest cell; the last one is not padded."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _agent(snapshot: Snapshot) -> Iterator[str]:
    agent = snapshot["agent"]
    devices = [device for bus in snapshot["buses"] for device in bus["devices"]]
    down = sum(device["state"] == "down" for device in devices)
    away = f", {down} of {len(devices)} devices down" if down else ""
    yield (
        f"{agent['site']}/{agent['id']}  edge-agent {agent['version']}  {agent['state']}{away}"
        f"  up {age(agent['uptime_s'])}  kernels {agent['kernels']}"
        f"  clock {'synchronised' if agent['clock_synchronised'] else 'NOT synchronised'}"
    )
    for problem in agent["problems"]:
        yield f"  ! {problem}"


def _bus(bus: Snapshot) -> Iterator[str]:
    yield f"bus {bus['name']}  {bus['link']}  {bus['state']}  load {bus['load']:.0%} of {bus['max_load']:.0%}"
    if bus["message"]:
        yield f"  ! {bus['message']}"
    if bus["hint"]:
        yield f"    hint: {bus['hint']}"
    rows = [_device(device) for device in bus["devices"]]
    yield from ("  " + line for line in table(rows)) if rows else ()


def _device(device: Snapshot) -> tuple[str, ...]:
    since = "" if device["since"] is None else f"since {_clock(device['since'])}"
    outcomes = device["outcomes"]
    counts = f"{outcomes.get('ok', 0)} of {sum(outcomes.values())} ok"
    latency = f"{device['latency_ms']['average']:.1f} ms"
    return (
        device["name"],
        f"unit {device['unit_id']}",
        device["state"],
        since,
        counts,
        latency,
        device["why"],
    )


def _alarms(alarms: Sequence[Snapshot]) -> Iterator[str]:
    for alarm in alarms:
        if alarm["active"]:
            at = "" if alarm["value"] is None else f" at {value(alarm['value'])}"
            yield f"ALARM {alarm['name']}{at} ({alarm['severity']}) since {_clock(alarm['since'])}"


def _spool(spool: Snapshot) -> Iterator[str]:
    where = "MEMORY ONLY" if spool["memory_only"] else "on disk"
    yield (
        f"spool  {where}  {_bytes(spool['bytes_used'])} of {_bytes(spool['max_bytes'])}"
        f"  {sum(spool['unacked'].values())} records wait"
    )
    if spool["problem"]:
        yield f"  ! {spool['problem']}"


def _uplink(uplink: Snapshot) -> Iterator[str]:
    yield (
        f"uplink {uplink['broker']}  {uplink['state']} for {age(uplink['since_s'])}"
        f"  MQTT {uplink['protocol']}  backlog {uplink['backlog']}"
    )
    if uplink["error"]:
        yield f"  ! {uplink['error']}"
    if uplink["hint"]:
        yield f"    hint: {uplink['hint']}"


def _bytes(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
