"""From what files say about points and quirks to what the agent runs. Pure.

Owns the defaults: poll classes become periods, orders and invalid values come from the quirks, and
a point sends what its period and window make sensible.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from edge_agent.config.tree import CONTINUOUS, PointSpec, Poll, QuirksSpec
from edge_agent.model import Area, Order, PointDef, Quirks, Send, send_mode

ON_DEMAND = "on_demand"
_SWAPPED = {Area.INPUT: Area.HOLDING, Area.HOLDING: Area.INPUT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What holds for a device's points that do not say otherwise."""

    device: str
    periods: Mapping[str, Poll]
    quirks: QuirksSpec
    send: Send
    window_ns: int


def is_polled(spec: PointSpec) -> bool:
    return spec.poll != ON_DEMAND


def point_def(spec: PointSpec, defaults: Defaults) -> PointDef:
    """A sound point with everything filled in."""
    assert spec.area is not None and spec.address is not None and spec.type is not None
    poll_ns = _period_ns(spec.poll, defaults.periods)
    return PointDef(
        device=defaults.device,
        name=spec.name,
        title=spec.title or "",
        area=_on_wire(spec.area, defaults.quirks),
        address=spec.address,
        type=spec.type,
        order=spec.order or defaults.quirks.order or Order.ABCD,
        length_words=spec.length or 0,
        bits=spec.bits,
        scale=1.0 if spec.scale is None else spec.scale,
        offset=0.0 if spec.offset is None else spec.offset,
        unit=spec.unit or "",
        invalid=_invalid(spec, defaults.quirks),
        plausible=spec.plausible,
        enum=spec.enum or (),
        flags=spec.flags or (),
        poll_ns=poll_ns,
        group=spec.group or "",
        filters=spec.filters or (),
        resolution=spec.resolution or 0.0,
        send=_send(spec, poll_ns, defaults),
    )


def _period_ns(poll: Poll | None, periods: Mapping[str, Poll]) -> int:
    """0 for `continuous`."""
    period = periods.get(poll or "normal", poll) if not isinstance(poll, int) else poll
    if period == CONTINUOUS:
        return 0
    assert isinstance(period, int)
    return period


def _invalid(spec: PointSpec, quirks: QuirksSpec) -> tuple[int, ...]:
    """As unsigned numbers, as wide as the type."""
    assert spec.type is not None
    said = spec.invalid if spec.invalid is not None else (quirks.invalid or {}).get(spec.type, ())
    mask = (1 << 16 * spec.type.words) - 1
    return tuple(raw & mask for raw in said)


def _send(spec: PointSpec, poll_ns: int, defaults: Defaults) -> Send:
    assert spec.type is not None
    return send_mode(spec.send or defaults.send, spec.type, poll_ns, defaults.window_ns)


def _on_wire(area: Area, quirks: QuirksSpec) -> Area:
    return _SWAPPED.get(area, area) if quirks.fc_swap else area


_SAME_NAME = (
    "max_read_words", "max_read_bits", "max_gap_words", "max_gap_bits", "one_point_per_request",
    "on_illegal_address",
)  # fmt: skip
_TIMES = ("response_timeout", "late_window", "turnaround", "interframe")


def quirks_def(spec: QuirksSpec) -> Quirks:
    """The quirks with the standard's values where nothing is said."""
    said = {name: getattr(spec, name) for name in _SAME_NAME}
    said |= {f"{name}_ns": getattr(spec, name) for name in _TIMES}
    if spec.on_illegal_address == "stop":
        # What restarts on an illegal read is not read where nothing is known to be, unless that is said.
        said |= {name: 0 for name in ("max_gap_words", "max_gap_bits") if said[name] is None}
    quirks = Quirks(**{name: value for name, value in said.items() if value is not None})
    return _with_areas(quirks, spec)


def _with_areas(quirks: Quirks, spec: QuirksSpec) -> Quirks:
    return replace(
        quirks,
        forbidden=tuple((_on_wire(area, spec), first, last) for area, first, last in spec.forbidden or ()),
        barriers=tuple((_on_wire(area, spec), address) for area, address in spec.barriers or ()),
        read_whole=tuple(
            (_on_wire(area, spec), start, count) for area, start, count in spec.read_whole or ()
        ),
        read_alone=tuple((_on_wire(area, spec), address) for area, address in spec.read_alone or ()),
    )
