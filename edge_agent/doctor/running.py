"""Judges what the running agent says of itself. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edge_agent.doctor.findings import AS_ROOT, Finding, Subject, plural

CHECK = "agent"
_RESTART = "$ sudo systemctl restart edge-agent"
_TOLD_WHY = ("all_silent", "one_silent")

Snapshot = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came from the status socket."""

    socket: str
    snapshot: Snapshot | None = None
    error: str = ""
    hint: str = ""
    is_there: bool = False
    """Something serves the socket, though nothing is known of it."""
    is_forbidden: bool = False


def judge(answer: Answer, *, config_hash: str) -> Iterator[Finding]:
    about = Subject(CHECK, "status")
    if answer.snapshot is not None:
        yield from _of(answer.snapshot, config_hash)
    elif answer.is_forbidden:
        yield about.skipped("an agent runs, and you may not ask it", AS_ROOT)
    elif answer.is_there:
        yield about.warning(answer.error, answer.hint, _RESTART)
    else:
        yield about.skipped(f"no agent answers at {answer.socket}")


def _of(snapshot: Snapshot, config_hash: str) -> Iterator[Finding]:
    about, agent = Subject(CHECK, "status"), snapshot["agent"]
    name = f"{agent['site']}/{agent['id']}"
    if config_hash and agent["config_hash"] != config_hash:
        yield about.warning(f"{name} runs with another configuration than the one checked here", _RESTART)
    else:
        yield about.ok(f"{name}, {agent['state']}, up {_span(agent['uptime_s'])}, kernels {agent['kernels']}")
    for problem in agent["problems"]:
        words, _, hint = str(problem).partition("\n    hint: ")
        yield Subject(CHECK, "problem").warning(words, hint or "$ sudo edge-agent status")
    for bus in snapshot["buses"]:
        yield from _bus(bus)
    yield _spool(snapshot["spool"])
    yield _uplink(snapshot["uplink"])


def _bus(bus: Snapshot) -> Iterator[Finding]:
    about = Subject(CHECK, f"bus {bus['name']}")
    devices = bus["devices"]
    if bus["state"] not in ("open", "opening"):
        yield about.fault(bus["message"] or bus["state"], bus["hint"])
        return
    down = [device for device in devices if device["state"] == "down"]
    up = len(devices) - len(down)
    if not down:
        yield about.ok(f"{bus['link']}: {plural(len(devices), 'device')} up, load {bus['load']:.0%}")
    yield from (_hint(bus, hint) for hint in bus["hints"])
    told = {hint["unit"] for hint in bus["hints"] if hint["rule"] in _TOLD_WHY}
    for device in down:
        one = Subject(CHECK, f"device {device['name']}")
        if not told & {None, device["unit_id"]}:
            why = device["why"] or "it does not answer"
            ask = f"$ sudo edge-agent status --probe {device['name']}"
            yield one.fault(f"unit {device['unit_id']} on {bus['name']} is silent ({up} answer): {why}", ask)


def _hint(bus: Snapshot, hint: Snapshot) -> Finding:
    about = Subject(CHECK, f"line {bus['name']}")
    seen = f"{str(hint['rule']).replace('_', ' ')}: {hint['seen']}, in {_span(hint['seconds'])}"
    if hint["rule"] in _TOLD_WHY:
        return about.fault(seen, hint["do"])
    return about.warning(seen, hint["do"])


def _spool(spool: Snapshot) -> Finding:
    about = Subject(CHECK, "spool")
    waits = plural(sum(spool["unacked"].values()), "record")
    if spool["memory_only"]:
        return about.fault(f"in memory only: {spool['problem'] or 'the disk cannot be used'}", "see disk")
    if spool["problem"]:
        return about.warning(spool["problem"], "see disk")
    return about.ok(f"on disk, {waits} to be sent")


def _uplink(uplink: Snapshot) -> Finding:
    about = Subject(CHECK, "uplink")
    backlog = f", backlog {plural(uplink['backlog'], 'record')}" if uplink["backlog"] else ""
    if uplink["state"] != "connected":
        error = uplink["error"] or uplink["state"]
        return about.fault(f"not connected: {error}{backlog}", uplink["hint"])
    if uplink["set_aside"]:
        seen = f"the broker refuses {plural(uplink['set_aside'], 'record')}; they are set aside"
        return about.warning(seen, "$ sudo edge-agent status")
    return about.ok(f"connected for {_span(uplink['since_s'])}, MQTT {uplink['protocol']}{backlog}")


def _span(seconds: float) -> str:
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
