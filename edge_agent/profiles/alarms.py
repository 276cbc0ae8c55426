"""Alarms of a configuration become alarms on points that exist; a pattern makes one per device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from edge_agent.config.schema import Report, nearest
from edge_agent.config.tree import AlarmConfig, Config
from edge_agent.model import AlarmDef, DeviceDef, PointType

SILENT = "silent"
"""Every device has an alarm `<device>.silent` built in."""


def resolve_alarms(config: Config, devices: Sequence[DeviceDef], report: Report) -> tuple[AlarmDef, ...]:
    """Every alarm with its device and point; what refers to nothing goes to the report."""
    unsound = _unsound(config, report)
    names = {f"{device.name}.{SILENT}": "built in" for device in devices}
    alarms: list[AlarmDef] = []
    for alarm in config.alarms:
        for definition in _of_one(alarm, devices, unsound, report):
            other = names.setdefault(definition.name, alarm.name)
            if other != alarm.name:
                report.add(
                    alarm.path, f"makes an alarm {definition.name}, which is {other} already", "rename it"
                )
            alarms.append(definition)
    return tuple(alarms)


def _unsound(config: Config, report: Report) -> tuple[str, ...]:
    """Names of device tables in which something is wrong: what they would hold is not known."""
    tables = config.document.data.get("device")
    names = tables if isinstance(tables, dict) else {}
    return tuple(name for name in names if report.is_flawed(("device", name)))


def _of_one(
    alarm: AlarmConfig, devices: Sequence[DeviceDef], unsound: tuple[str, ...], report: Report
) -> Iterator[AlarmDef]:
    matching = [device for device in devices if fnmatchcase(device.name, alarm.device)]
    path = (*alarm.path, "point")
    written = f"{alarm.device}.{alarm.point}"
    if not matching and not any(alarm.device.startswith(name) or alarm.is_pattern for name in unsound):
        known = [device.name for device in devices]
        report.add(
            path, f"names the device {alarm.device}, which does not exist", _hint(alarm, known), written
        )
    for device in matching:
        point = next((point for point in device.points if point.name == alarm.point), None)
        if point is None:
            near = nearest(alarm.point, [point.name for point in device.points])
            hint = f"did you mean {near}?" if near else "points that are read on demand are not judged"
            report.add(path, f"names a point that device {device.name} does not poll", hint, written)
        elif point.type is PointType.STRING:
            report.add(path, "names a point that is text", "alarms judge numbers and booleans", written)
        else:
            yield _definition(alarm, device.name)


def _hint(alarm: AlarmConfig, known: Sequence[str]) -> str:
    expanded = [name for name in known if name.startswith(f"{alarm.device}_")]
    if expanded:
        return f'unit_ids made {expanded[0]} and others: "{alarm.device}_*.{alarm.point}" means them all'
    if near := nearest(alarm.device, known):
        return f"did you mean {near}?"
    return "devices here: " + ", ".join(known[:20]) if known else ""


def _definition(alarm: AlarmConfig, device: str) -> AlarmDef:
    return AlarmDef(
        name=f"{alarm.name}.{device}" if alarm.is_pattern else alarm.name,
        device=device,
        point=alarm.point,
        kind=alarm.kind,
        low=alarm.low,
        high=alarm.high,
        input=alarm.input,
        deadband=alarm.deadband,
        on_delay_ns=alarm.on_delay_ns,
        off_delay_ns=alarm.off_delay_ns,
        severity=alarm.severity,
    )
