"""A configuration and its profiles become a `model.Site`: merged, complete, every reference checked.

Pure, apart from the library's reading of profiles. Problems go to the report that the configuration
began, so that a person sees all of them at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from edge_agent import config as configuration
from edge_agent.config import toml
from edge_agent.config.keys import PERIODS
from edge_agent.config.schema import Place, Report, nearest, read_table
from edge_agent.config.tree import Config, DeviceConfig, PointSpec, QuirksSpec, overlay
from edge_agent.errors import InputError
from edge_agent.model import BusDef, DeviceDef, PointDef, PointType, Send, Site
from edge_agent.profiles import rules
from edge_agent.profiles.alarms import resolve_alarms
from edge_agent.profiles.library import Library, default_library
from edge_agent.profiles.points import Defaults, is_polled, point_def, quirks_def
from edge_agent.profiles.tree import Profile

MAX_SITE_POINTS = 20_000

# What a site may not change about a point of a profile: it would be another point.
_LAYOUT = ("area", "address", "manual", "type", "length", "order", "bits")


Judge = Callable[[Site, Report], None]
"""Adds to the report what is wrong with a site whose every key is right."""


def load_site(path: Path, library: Library | None = None, judge: Judge | None = None) -> Site:
    """The site that the configuration file `path` describes; InputError with all its problems."""
    return site_of(toml.read(path), str(path), library, judge)


def site_of(data: bytes, file: str, library: Library | None = None, judge: Judge | None = None) -> Site:
    """The same for the bytes of a configuration; `file` is its name in messages."""
    config, report = configuration.read(data, file)
    site = resolve_into(config, library or default_library(), report)
    report.raise_if_any()
    if judge is not None:
        judge(site, report)
        report.raise_if_any()
    return site


def resolve(config: Config, library: Library) -> Site:
    """`config` with its profiles; InputError with all problems."""
    report = Report(config.document)
    site = resolve_into(config, library, report)
    report.raise_if_any()
    return site


def as_device(profile: Profile, *, name: str, bus: str, unit_id: int) -> DeviceDef:
    """A device with every point of `profile`, also those that are read on demand only."""
    report = Report(profile.document)
    periods = read_table(Place(report), {}, PERIODS)
    defaults = Defaults(
        device=name, periods=periods, quirks=profile.quirks, send=Send.SAMPLES, window_ns=60 * 10**9
    )
    points = (point if is_polled(point) else replace(point, poll="once") for point in profile.points)
    return _device_def(name, bus, unit_id, profile, profile.quirks, [point_def(p, defaults) for p in points])


def resolve_into(config: Config, library: Library, report: Report) -> Site:
    """Like `resolve`, but problems go to `report`; with any in it, the site is not complete."""
    devices = {device.name: _device(config, device, library, report) for device in config.devices}
    sound = [device for device in devices.values() if device is not None]
    alarms = resolve_alarms(config, sound, report)
    count = sum(len(device.points) for device in sound)
    if count > MAX_SITE_POINTS:
        report.add(("device",), f"has {count} points in all; at most {MAX_SITE_POINTS} are allowed")
    return Site(
        site=config.site,
        agent=config.agent,
        buses=tuple(_with_devices(bus, sound) for bus in config.buses),
        alarms=alarms,
        window_ns=config.window_ns,
        checkpoint_ns=config.checkpoint_ns,
        uplink=config.uplink,
        spool=config.spool,
        batch_ns=config.batch_ns,
        source=config.document.file,
        config_hash=config.sha256,
    )


def _with_devices(bus: BusDef, devices: Iterable[DeviceDef]) -> BusDef:
    return replace(bus, devices=tuple(device for device in devices if device.bus == bus.name))


def _device_def(
    name: str,
    bus: str,
    unit_id: int,
    profile: Profile | None,
    quirks: QuirksSpec,
    points: Sequence[PointDef],
) -> DeviceDef:
    return DeviceDef(
        name=name,
        bus=bus,
        unit_id=unit_id,
        profile=profile.id if profile else "",
        profile_revision=profile.revision if profile else 0,
        quirks=quirks_def(quirks),
        points=tuple(points),
    )


def _device(config: Config, device: DeviceConfig, library: Library, report: Report) -> DeviceDef | None:
    """The device, or None when something about it is in the report."""
    place = Place(report, device.path)
    profile = _profile(place, device, library) if device.profile else None
    if device.profile and profile is None:
        return None
    quirks = overlay(profile.quirks, device.quirks) if profile else device.quirks
    specs = _merged(place, device, profile)
    _check(place, device, specs, quirks)
    polled = [spec for spec in specs if is_polled(spec)]
    if report.is_flawed(device.path):
        return None
    if not polled:
        place.refuse("has no point that is polled", "give a point a poll, or select others")
        return None
    defaults = Defaults(
        device=device.name,
        periods=device.periods,
        quirks=quirks,
        send=device.send or config.send,
        window_ns=config.window_ns,
    )
    points = [point_def(spec, defaults) for spec in polled]
    return _device_def(device.name, device.bus, device.unit_id, profile, quirks, points)


def _profile(place: Place, device: DeviceConfig, library: Library) -> Profile | None:
    here = place / "profile"
    if not library.has(device.profile):
        here.refuse("is not a known profile", library.nearest(device.profile), device.profile)
        return None
    try:
        profile = library.get(device.profile)
    except InputError as error:
        place.report.adopt(error.problems, here.path)
        return None
    if profile.variants:
        here.refuse(
            "differs by firmware, and this version cannot tell which one the device has",
            "use a profile of one firmware",
            device.profile,
        )
    return profile


def _merged(place: Place, device: DeviceConfig, profile: Profile | None) -> list[PointSpec]:
    """The profile's points as selected and overridden, then the device's own."""
    own = {point.name: point for point in device.points}
    merged = []
    for point in _selected(place, device, profile):
        if override := own.pop(point.name, None):
            _check_override(place.report, override)
            merged.append(overlay(point, override))
        else:
            merged.append(replace(point, path=device.path))
    for point in own.values():
        if profile is not None and (point.area, point.address, point.type) == (None, None, None):
            near = nearest(point.name, [known.name for known in profile.points])
            hint = f"did you mean {near}?" if near else "a point of your own needs area, address and type"
            place.report.add(point.path, f"is not a point of profile {profile.id}", hint)
        else:
            merged.append(_complete(point))
    return merged


def _selected(place: Place, device: DeviceConfig, profile: Profile | None) -> Iterator[PointSpec]:
    points = profile.points if profile else ()
    patterns = device.selection
    for index, pattern in enumerate(patterns or ()):
        if not any(fnmatchcase(point.name, pattern) for point in points):
            near = nearest(pattern, [point.name for point in points])
            hint = f"did you mean {near}?" if near else ""
            (place / "points" / index).refuse("matches no point of the profile", hint, pattern)
    overridden = {point.name for point in device.points}
    for point in points:
        chosen = patterns is None or any(fnmatchcase(point.name, pattern) for pattern in patterns)
        if chosen or point.name in overridden:
            yield point


def _check_override(report: Report, override: PointSpec) -> None:
    for key in _LAYOUT:
        if getattr(override, key) is not None:
            report.add(
                (*override.path, key),
                "is fixed by the profile",
                "leave it out, or give the point another name to define one of your own",
            )


def _complete(spec: PointSpec) -> PointSpec:
    """A coil needs no type: it can only be a boolean."""
    if spec.type is None and spec.area is not None and spec.area.is_bits:
        return replace(spec, type=PointType.BOOL)
    return spec


def _check(place: Place, device: DeviceConfig, specs: Sequence[PointSpec], quirks: QuirksSpec) -> None:
    sound = []
    for spec in specs:
        own = spec.path != device.path
        # A key that could not be read counts as missing; it has been reported as what it is.
        for fault in rules.point_faults(spec):
            if not (own and place.report.is_flawed((*spec.path, fault.key))):
                _refuse(place, device, fault)
        if not (own and place.report.is_flawed(spec.path)):
            sound.append(spec)
    for fault in rules.map_faults(sound, quirks):
        _refuse(place, device, fault)


def _refuse(place: Place, device: DeviceConfig, fault: rules.Fault) -> None:
    """A fault at the key that a person can change: the site's point, or else the device."""
    value = () if fault.value is None else (fault.value,)
    if fault.point is None:
        path = (*device.path, "quirks", fault.key) if fault.key else device.path
        place.report.add(path, fault.message, fault.hint, *value)
    elif fault.point.path == device.path:
        place.report.add(device.path, f"point {fault.point.name}: {fault.message}", fault.hint, *value)
    else:
        place.report.add((*fault.point.path, fault.key), fault.message, fault.hint, *value)
