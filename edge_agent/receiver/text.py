"""Pure: the objects of `objects` as lines for people. Times are shown in the local time zone."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from edge_agent.receiver.objects import Object


def line(item: Object) -> str:
    """One line; alarms and losses begin with a mark that is seen while scrolling."""
    words = _LINES.get(item["kind"], _other)(item)
    # Names come from the other side: no escape sequence of theirs may reach this terminal.
    return words if words.isprintable() else "".join(c if c.isprintable() else "?" for c in words)


def _sample(item: Object) -> str:
    return (
        f"{_clock(item['t'])}  {_point(item):<32} {_value(item['value']):>12} {item['unit']}{_quality(item)}"
    )


def _summary(item: Object) -> str:
    numbers = "  ".join(f"{name} {_value(item[name])}" for name in ("mean", "min", "max"))
    counts = f"{item['count']} values"
    counts += "".join(f", {item[name]} {name}" for name in ("bad", "missing") if item[name])
    return f"{_clock(item['t1'])}  {_point(item):<32} {numbers} {item['unit']}  ({counts}){_quality(item)}"


def _alarm(item: Object) -> str:
    mark, word = ("!!!", "ALARM") if item["state"] == "active" else ("---", "alarm over")
    where = f"{item['device']}.{item['point']}" if item["point"] else item["device"]
    value = "" if item["value"] is None else f" at {_value(item['value'])}"
    again = " (still)" if item["repeated"] and item["state"] == "active" else ""
    return f"{_clock(item['t'])}  {mark} {word}: {item['name']} [{item['severity']}] {where}{value}{again}"


def _gap(item: Object) -> str:
    if item["count"] is None:
        what = "not observed"
    else:
        epoch = item["lost_epoch"][:8]
        what = f"{item['count']} records ({item['from']} to {item['to']}) of epoch {epoch} lost,"
    span = f"{_clock(item['t0'])} to {_clock(item['t1'])}"
    return f"{_clock(item['t1'])}  ### GAP in {item['lost_stream']}: {what} {span} ({item['reason']})"


def _start(item: Object) -> str:
    before = "first run"
    if item["previous"]:
        before = "after a clean stop" if item["clean"] else "after an interruption"
    return f"{_clock(item['t'])}  >>> {_agent(item)} started, version {item['version']}, {before}"


def _status(item: Object) -> str:
    reason = f" ({item['reason']})" if item.get("reason") else ""
    return f"{_clock(item.get('t'))}  >>> {_agent(item)} is {item.get('state')}{reason}"


def _birth(item: Object) -> str:
    return f"{'':8}  >>> {_agent(item)} announces dictionary {item['hash']}"


def _other(item: Object) -> str:
    return f"{_clock(item.get('t'))}  >>> {_agent(item)}: {item['kind']} {item.get('reason', '')}".rstrip()


def _missing(item: Object) -> str:
    span = f"{item['from']} to {item['to']}"
    return f"{'':8}  ### MISSING from {_agent(item)}: {item['stream']} {span} of epoch {item['epoch']}"


def _end(item: Object) -> str:
    words = " ".join(f"{name}={value}" for name, value in item.items() if isinstance(value, int))
    return f"received: {words}"


_LINES = {
    "sample": _sample,
    "summary": _summary,
    "alarm": _alarm,
    "gap": _gap,
    "missing": _missing,
    "start": _start,
    "status": _status,
    "birth": _birth,
    "end": _end,
}


def _point(item: Object) -> str:
    return f"{item['device']}.{item['point']}"


def _agent(item: Object) -> str:
    return f"{item['site']}/{item['agent']}"


def _quality(item: Object) -> str:
    return "" if item["quality"] == "good" else f"  <{item['quality']}>"


def _value(value: Any) -> str:
    return "-" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _clock(t: Any) -> str:
    if not isinstance(t, int | float):
        return "?"
    try:
        return datetime.fromtimestamp(t).astimezone().strftime("%H:%M:%S.%f")[:12]
    except (OverflowError, ValueError, OSError):
        return "?"
