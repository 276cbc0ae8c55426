"""The signals of a script: which terms there are, and what they become."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_agent.config.readers import duration, integer, name, number, text
from edge_agent.config.schema import Key, Place, Reader, Refusal, Table, read_table
from edge_agent.model import NS, PointDef, PointType
from edge_agent.simulator.signals import (
    Constant,
    Counter,
    Event,
    Integral,
    Noise,
    PointSignal,
    Ramp,
    Signal,
    Sine,
    Step,
    Sum,
    Text,
    derive,
    load,
)


def _table(title: str, **keys: Key) -> Reader:
    table = Table(title, keys)
    return lambda place, raw: read_table(place, raw, table)


_NUMBER = number()
_SPAN = duration("1ms", "3650d")
_UP_TO = duration("0s", "3650d")
_REQUIRED = Key(_NUMBER, required=True)
_PERIOD = Key(_SPAN, required=True)

_TERM_READERS: Mapping[str, Reader] = {
    "constant": _NUMBER,
    "noise": number(0.0),
    "sine": _table("sine", amplitude=_REQUIRED, period=_PERIOD, phase=Key(_NUMBER, 0.0)),
    "ramp": _table("ramp", low=_REQUIRED, high=_REQUIRED, period=_PERIOD),
    "step": _table("step", low=_REQUIRED, high=_REQUIRED, period=_PERIOD, duty=Key(number(0.0, 1.0), 0.5)),
    "load": _table("load", low=_REQUIRED, high=_REQUIRED),
    "event": _table(
        "event",
        add=_REQUIRED,
        every=_PERIOD,
        lasts=_PERIOD,
        first=Key(_UP_TO, "0s"),
        jitter=Key(_UP_TO, "0s"),
    ),
    "counter": _table("counter", start=Key(integer(0, 2**63), 0), step=Key(integer(1, 65535), 1)),
    "integral": _table(
        "integral", of=Key(name, required=True), per=Key(_SPAN, "1h"), start=Key(_NUMBER, 0.0)
    ),
    "text": text(250),
}

SIGNAL = Table("signal", {kind: Key(reader) for kind, reader in _TERM_READERS.items()})
"""The terms a signal may have."""


def signal_terms(place: Place, raw: object) -> dict[str, Any] | None:
    """The terms that are given, each read; what is incomplete is in the report."""
    read = read_table(place, raw, SIGNAL)
    terms = {kind: keys for kind, keys in read.items() if keys is not None}
    if not raw:
        raise Refusal("is empty", "for example { constant = 5.5, noise = 0.1 }")
    event = terms.get("event")
    if event and None not in event.values() and event["lasts"] + event["jitter"] > event["every"]:
        (place / "event").refuse("lasts and jitter do not fit into every")
    return None if place.report.is_flawed(place.path) else terms


def build_signal(
    place: Place,
    terms: Mapping[str, Any],
    point: PointDef,
    others: Mapping[str, PointSignal],
    seed: int,
    start_of_day_s: float,
) -> PointSignal | None:
    """The signal of `point` from terms that `signal_terms` has read; None after a refusal.

    `others` are the signals of the device's points that may be integrated.
    """
    for alone in ("counter", "text", "integral"):
        if alone in terms and len(terms) > 1:
            place.refuse(f"cannot add to {alone}", f"leave {alone} alone in the signal")
            return None
    if "text" in terms:
        return Text(terms["text"])
    if "counter" in terms:
        return _counter(place / "counter", terms["counter"], point)
    if "integral" in terms:
        return _integral(place / "integral", terms["integral"], others)
    own = derive(seed, point.device, point.name)
    built = tuple(_term(kind, keys, own, start_of_day_s) for kind, keys in terms.items())
    return built[0] if len(built) == 1 else Sum(built)


def _counter(place: Place, keys: Mapping[str, Any], point: PointDef) -> Counter:
    if point.type.is_float or point.type is PointType.STRING or point.area.is_bits:
        place.refuse("needs a whole number", "type u16 or u32")
    return Counter(start=keys["start"], step=keys["step"])


def _integral(place: Place, keys: Mapping[str, Any], others: Mapping[str, PointSignal]) -> Integral | None:
    of = others.get(keys["of"])
    if of is None or isinstance(of, (Counter, Text)):
        (place / "of").refuse("names no point with a signal in this device", value=keys["of"])
        return None
    return Integral(of=of, per_s=keys["per"] / NS, start=keys["start"])


def _term(kind: str, keys: Any, seed: int, start_of_day_s: float) -> Signal:
    match kind:
        case "constant":
            return Constant(keys)
        case "noise":
            return Noise(amplitude=keys, seed=seed)
        case "sine":
            return Sine(amplitude=keys["amplitude"], period_s=keys["period"] / NS, phase=keys["phase"])
        case "ramp":
            return Ramp(low=keys["low"], high=keys["high"], period_s=keys["period"] / NS)
        case "step":
            return Step(low=keys["low"], high=keys["high"], period_s=keys["period"] / NS, duty=keys["duty"])
        case "load":
            return load(keys["low"], keys["high"], seed, start_of_day_s)
        case "event":
            times = {f"{word}_s": keys[word] / NS for word in ("every", "lasts", "first", "jitter")}
            return Event(add=keys["add"], seed=seed, **times)
        case _:
            raise AssertionError(kind)
