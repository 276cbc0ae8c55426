"""Rules of one `[alarm.NAME]` table. What it refers to is checked by `profiles.resolve`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_agent.config import keys
from edge_agent.config.schema import Place, read_table
from edge_agent.config.tree import AlarmConfig, Values
from edge_agent.model import AlarmKind


def build(place: Place, name: str, raw: Mapping[str, Any]) -> AlarmConfig | None:
    """The alarm, with stand-ins for what is in the report; None when it is not known on what."""
    given = read_table(place, raw, keys.ALARM)
    _check_condition(place, raw, given)
    if given["point"] is None:
        return None
    device, _, point = given["point"].partition(".")
    condition = next((kind for kind in AlarmKind if given[kind] is not None), AlarmKind.ABOVE)
    low, high = (0.0, 0.0) if given[condition] is None else _limits(condition, given[condition])
    return AlarmConfig(
        name=name,
        path=place.path,
        device=device,
        point=point,
        kind=condition,
        low=low,
        high=high,
        input=given["input"],
        deadband=given["deadband"],
        on_delay_ns=given["on_delay"],
        off_delay_ns=given["off_delay"],
        severity=given["severity"],
    )


def _limits(condition: AlarmKind, value: Any) -> tuple[float, float]:
    """`AlarmDef.low` and `.high` of one condition."""
    match condition:
        case AlarmKind.OUTSIDE:
            return value
        case AlarmKind.BELOW | AlarmKind.EQUALS:
            return value, 0.0
        case AlarmKind.ABOVE | AlarmKind.RATE_ABOVE:
            return 0.0, value


def _check_condition(place: Place, raw: Mapping[str, Any], given: Values) -> None:
    conditions = [str(kind) for kind in AlarmKind if kind in raw]
    if not conditions:
        place.refuse("has no condition", "one of " + ", ".join(AlarmKind) + " says when it is raised")
    for extra in conditions[1:]:
        (place / extra).refuse(f"stands beside {conditions[0]}", "one condition an alarm: make it two alarms")
    if given["outside"] is not None:
        low, high = given["outside"]
        if 2 * (given["deadband"] or 0.0) >= high - low:
            (place / "deadband").refuse(
                "is so wide that the alarm could never clear",
                f"between {low:g} and {high:g} it must be below {(high - low) / 2:g}",
                given["deadband"],
            )
