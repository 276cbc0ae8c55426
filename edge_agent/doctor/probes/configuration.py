"""Loads the configuration, and calculates what it asks of each line."""

from __future__ import annotations

from pathlib import Path

from edge_agent.bus.plan import overload
from edge_agent.bus.plan.forecast import Forecast, forecasts
from edge_agent.doctor.configuration import Load, Loaded
from edge_agent.errors import InputError
from edge_agent.model import Site
from edge_agent.profiles import load_site


def load(path: Path, *, is_default: bool) -> tuple[Loaded, Site | None]:
    file = str(path)
    try:
        site = load_site(path)
    except InputError as error:
        return Loaded(path=file, is_default=is_default, problems=tuple(error.problems)), None
    revisions = {one.profile: one.profile_revision for one in site.devices if one.profile}
    loaded = Loaded(
        path=file,
        is_default=is_default,
        buses=len(site.buses),
        devices=len(site.devices),
        points=len(site.points),
        alarms=len(site.alarms),
        profiles=tuple(f"{name} (revision {revision})" for name, revision in sorted(revisions.items())),
        loads=tuple(_load(forecast) for forecast in forecasts(site)),
    )
    return loaded, site


def _load(forecast: Forecast) -> Load:
    bad = forecast.is_overloaded
    return Load(
        bus=forecast.bus.name,
        load=forecast.load,
        max_load=forecast.bus.max_load,
        message=overload.message(forecast) if bad else "",
        advice=overload.advice(forecast) if bad else "",
    )
