"""A snapshot of the status socket as lines for a terminal. Pure, but for `width`."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edge_agent.config.values import show_size

Snapshot = Mapping[str, Any]

SOCKET_HELP = "status socket; default: $EDGE_AGENT_SOCKET, else /run/edge-agent/status.sock"


def overview(snapshot: Snapshot, width: int = 100) -> list[str]:
    """The agent, its buses with every device, raised alarms, the spool and the uplink. What is said in
    sentences is broken at `width`."""
    return [
        *_agent(snapshot),
        *(line for bus in snapshot["buses"] for line in _bus(bus, width)),
        *_alarms(snapshot["alarms"]),
        *_spool(snapshot["spool"]),
        *_uplink(snapshot["uplink"]),
    ]


def width() -> int:
    """Of the terminal; 100 where there is none."""
    import shutil  # with lzma and bz2: the daemon, which needs a word of this file, does without

    return shutil.get_terminal_size((100, 24)).columns


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


def _bus(bus: Snapshot, width: int) -> Iterator[str]:
    counts = bus["counts"]
    yield (
        f"bus {bus['name']}  {bus['link']}  {bus['state']}  load {bus['load']:.0%} of {bus['max_load']:.0%}"
        f"  {show_size(counts['sent_bytes'] + counts['heard_bytes'])}  resyncs {counts['resyncs']}"
    )
    if bus["message"]:
        yield f"  ! {bus['message']}"
    if bus["hint"]:
        yield f"    hint: {bus['hint']}"
    if bus["devices"]:
        yield from ("  " + line for line in table([_HEADINGS, *map(_device, bus["devices"])]))
    yield from (
        line for device in bus["devices"] if (why := _why(device, bus)) for line in _said("!", why, width)
    )
    for hint in bus["hints"]:
        seen = f"{hint['rule'].replace('_', ' ')}: {hint['seen']}, in {age(hint['seconds'])}"
        yield from _said("?", seen, width)
        yield from _said("  hint:", hint["do"], width)


def _why(device: Snapshot, bus: Snapshot) -> str:
    """Why a device gives no values, where nothing else says it: not the port, nor a hint."""
    told = {hint["unit"] for hint in bus["hints"] if hint["rule"] in ("all_silent", "one_silent")}
    if device["why"] in ("", bus["message"]) or told & {None, device["unit_id"]}:
        return ""
    return f"{device['name']}: {device['why']}"


_HEADINGS = ("DEVICE", "UNIT", "STATE", "SINCE", "ASKED", "OK", "EXC", "MUTE", "BAD", "p50/p99 ms")


def _device(device: Snapshot) -> tuple[str, ...]:
    quality = device["quality"]
    reply = quality["reply_ms"]
    return (
        device["name"],
        f"{device['unit_id']:>4}",
        device["state"],
        "-" if device["since"] is None else short_clock(device["since"]),
        f"{quality['requests']:>5}",
        _percent(quality["values"], quality["requests"]),
        f"{quality['exceptions']:>3}",
        f"{quality['no_reply']:>4}",
        f"{sum(quality['bad'].values()):>3}",
        "-" if reply["p50"] is None else f"{reply['p50']:.1f}/{reply['p99']:.1f}",
    )


def _percent(part: int, whole: int) -> str:
    """Never 100 % while anything is missing."""
    if not whole:
        return "-"
    return "100%" if part == whole else f"{min(part / whole, 0.9999) * 100:.4g}%"


def _said(mark: str, text: str, width: int) -> list[str]:
    lead = f"  {mark} "
    return textwrap.wrap(text, max(width, 40), initial_indent=lead, subsequent_indent=" " * len(lead))


def _alarms(alarms: Sequence[Snapshot]) -> Iterator[str]:
    for alarm in alarms:
        if alarm["active"]:
            at = "" if alarm["value"] is None else f" at {value(alarm['value'])}"
            yield f"ALARM {alarm['name']}{at} ({alarm['severity']}) since {clock(alarm['since'])}"


def _spool(spool: Snapshot) -> Iterator[str]:
    where = "MEMORY ONLY" if spool["memory_only"] else "on disk"
    yield (
        f"spool  {where}  {show_size(spool['bytes_used'])} of {show_size(spool['max_bytes'])}"
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
    if uplink["unconfirmed"]:
        yield f"  {uplink['unconfirmed']} records wait for a receiver's acknowledgement"
    if uplink["set_aside"]:
        yield f"  ! the broker refuses {uplink['set_aside']} records; they are set aside"
    for replay in uplink["replays"]:
        yield f"  replay {replay['stream']} {replay['from']} to {replay['to']}: {replay['left']} left"


def short_clock(seconds: float) -> str:
    """The time of day, with the date once that is another."""
    now, then = time.localtime(), time.localtime(seconds)
    return time.strftime("%H:%M:%S" if now[:3] == then[:3] else "%m-%d %H:%M", then)


def clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
