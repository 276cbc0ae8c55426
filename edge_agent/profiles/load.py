"""From the bytes of a profile file to a checked `Profile`, with all problems at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from edge_agent.config import toml
from edge_agent.config.positions import KeyPath
from edge_agent.config.schema import Place, Refusal, Report, nearest, read_table
from edge_agent.config.tree import PointSpec, QuirksSpec, Values
from edge_agent.model import PointType
from edge_agent.profiles import keys, rules
from edge_agent.profiles.tree import GoldenTest, Link, Profile, SerialDefault, Source

_POLL_BY_ROLE = {"id": "once", "setting": "on_demand", "command": "on_demand"}


def parse(data: bytes, file: str, expected_id: str = "") -> Profile:
    """The profile in `data`; InputError with all its problems. `expected_id` is what its path says."""
    document = toml.parse(data, file)
    report = Report(document)
    place = Place(report)
    given = read_table(place, document.data, keys.ROOT)
    raw_points = given["point"] or ()
    points, roles = _expand(place / "point", raw_points)
    _check_id(place / "profile" / "id", given["profile"], expected_id)
    _check_map(place, points, given["quirks"])
    names = {point.name for point in points}
    tests = tuple(_tests(place / "test", given["test"] or (), points))
    _check_identify(place / "identify", given["identify"] or ())
    _check_variants(place / "variant", given["variant"] or (), names | {raw["id"] for raw in raw_points})
    report.raise_if_any()
    return Profile(
        **{key: item for key, item in given["profile"].items() if key != "sources"},
        sources=tuple(Source(**_said(source)) for source in given["profile"]["sources"]),
        link=_link(given["link"]),
        quirks=given["quirks"],
        points=points,
        roles=roles,
        identify=given["identify"],
        base_when=given["base"]["when"],
        variants=given["variant"],
        policy=given["policy"],
        tests=tests,
        document=document,
    )


def _said(table: Values) -> dict[str, Any]:
    return {key: item for key, item in table.items() if item is not None}


def _link(given: Values) -> Link:
    serial = given["serial"]
    return Link(
        protocol=given["protocol"],
        serial=_serial(serial) if serial else None,
        also=tuple(_serial(other) for other in serial["also"]) if serial else (),
        unit=given["unit"],
    )


def _serial(given: Values) -> SerialDefault:
    data_bits, parity, stop_bits = given["format"]
    return SerialDefault(baud=given["baud"], data_bits=data_bits, parity=parity, stop_bits=stop_bits)


def _check_id(place: Place, given: Values | None, expected: str) -> None:
    if given and given["id"] and expected and given["id"] != expected:
        place.refuse(f"differs from the file's path, which says {expected}", value=given["id"])


# --- points ---------------------------------------------------------------------------------------


def _expand(place: Place, raw_points: Iterable[Values]) -> tuple[tuple[PointSpec, ...], dict[str, str]]:
    """Every `[[point]]`, once per index; and the role of each."""
    points: dict[str, PointSpec] = {}
    roles: dict[str, str] = {}
    for position, raw in enumerate(raw_points):
        here = place / position
        if place.report.is_flawed(here.path):
            continue
        for point in _indexed(here, raw):
            if point.name in points:
                (here / "id").refuse(f"makes a point {point.name} a second time", value=raw["id"])
            points[point.name] = point
            roles[point.name] = raw["role"]
    return tuple(points.values()), roles


def _indexed(place: Place, raw: Values) -> Iterator[PointSpec]:
    fields = {key: item for key, item in raw.items() if key not in ("id", "index", "stride", "role")}
    fields["poll"] = raw["poll"] or _POLL_BY_ROLE.get(raw["role"], "normal")
    if raw["area"] is not None and raw["area"].is_bits and raw["type"] is None:
        fields["type"] = PointType.BOOL
    spec = PointSpec(name=raw["id"], path=place.path, **fields)
    if (raw["index"] is None) == ("#" in raw["id"]):
        (place / "id").refuse(
            "needs # exactly when index is given", 'id = "v_l#", index = [1, 2, 3]', raw["id"]
        )
    elif raw["index"] is None:
        if raw["stride"] is not None:
            (place / "stride").refuse("needs index beside it")
        yield spec
    elif len(set(raw["index"])) < len(raw["index"]):
        (place / "index").refuse("has a number twice")
    else:
        yield from _repeated(spec, raw)


def _repeated(spec: PointSpec, raw: Values) -> Iterator[PointSpec]:
    """`#` becomes the index; the address rises by `stride` (by the point's width if none is given)."""
    stride = raw["stride"] or (rules.width(spec) if spec.type else 1)
    for step, index in enumerate(raw["index"]):
        yield replace(
            spec,
            name=spec.name.replace("#", str(index)),
            title=(spec.title or "").replace("#", str(index)) or None,
            address=None if spec.address is None else spec.address + step * stride,
        )


def _check_map(place: Place, points: tuple[PointSpec, ...], quirks: QuirksSpec | None) -> None:
    sound = []
    for point in points:
        faults = list(rules.point_faults(point))
        for fault in faults:
            _refuse(place, fault)
        if not faults:
            sound.append(point)
    for fault in rules.map_faults(sound, quirks or QuirksSpec()):
        _refuse(place, fault)


def _refuse(place: Place, fault: rules.Fault) -> None:
    path: KeyPath = ("quirks", fault.key) if fault.point is None else (*fault.point.path, fault.key)
    name = f"{fault.point.name}: " if fault.point is not None else ""
    value = () if fault.value is None else (fault.value,)
    place.report.add(path, name + fault.message, fault.hint, *value)


# --- tests, identification, variants --------------------------------------------------------------


def _tests(place: Place, given: Iterable[Values], points: Iterable[PointSpec]) -> Iterator[GoldenTest]:
    by_name = {point.name: point for point in points}
    for position, test in enumerate(given):
        here = place / position
        if place.report.is_flawed(here.path):
            continue
        point = by_name.get(test["point"])
        if point is None:
            near = nearest(test["point"], by_name)
            hint = f"did you mean {near}?" if near else ""
            (here / "point").refuse("is not a point of this profile", hint, test["point"])
        elif point.type is not None and len(test["raw"]) != rules.width(point):
            (here / "raw").refuse(f"has {len(test['raw'])} words, the point {rules.width(point)}")
        elif (test["value"] is None) != test["invalid"]:
            here.refuse("needs either value or invalid = true")
        else:
            yield GoldenTest(point=test["point"], raw=test["raw"], value=test["value"])


def _check_identify(place: Place, steps: Iterable[Values]) -> None:
    for position, step in enumerate(steps):
        by_register = step["area"] is not None and step["address"] is not None
        if by_register == (step["fc43"] is not None) and not place.report.is_flawed((*place.path, position)):
            (place / position).refuse("needs either area and address, or fc43", "each step is one read")


def _check_variants(place: Place, variants: Iterable[Values], known: set[str]) -> None:
    """Ids are unique, and `extends`, `remove` and `set` name what is there."""
    ids = {"base"}
    for position, variant in enumerate(variants):
        here = place / position
        if variant["extends"] not in ids:
            (here / "extends").refuse("is not base or a variant above", value=variant["extends"])
        if variant["id"] in ids:
            (here / "id").refuse("is already a variant", value=variant["id"])
        ids.add(variant["id"])
        for index, target in enumerate(variant["remove"] or ()):
            if target not in known:
                (here / "remove" / index).refuse("is not a point of this profile", value=target)
        _check_set(here / "set", variant["set"], known)


def _check_set(place: Place, changes: object, known: set[str]) -> None:
    """`[variant.set."p_l#"]`: other values for single keys of a point."""
    if not isinstance(changes, Mapping):
        place.refuse("must be a table of points")
        return
    changeable = replace(
        keys.POINT_KEYS, keys={k: replace(v, required=False) for k, v in keys.POINT_KEYS.keys.items()}
    )
    for target, change in changes.items():
        if target not in known:
            (place / target).refuse("is not a point of this profile")
        try:
            read_table(place / target, change, changeable)
        except Refusal as refusal:
            (place / target).refuse(refusal.message, refusal.hint, change)
