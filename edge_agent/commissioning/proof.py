"""Whether a text is a configuration, by the agent's own loader. Pure, but for reading profiles."""

from __future__ import annotations

from dataclasses import replace

from edge_agent import config
from edge_agent.bus.plan.forecast import Forecast, forecasts
from edge_agent.commissioning.answers import Answers
from edge_agent.commissioning.rendering import rendered
from edge_agent.model import Site
from edge_agent.profiles import Library
from edge_agent.profiles.resolve import resolve_into

PACES = (1, 2, 5, 10, 30, 60, 120, 300)
"""What the default periods are multiplied by, where the line cannot carry them; the slowest is five minutes
for the quickest class."""


def proven(text: str, file: str, library: Library) -> Site:
    """The site that `text` describes; InputError with all that is wrong, as `check` says it of `file`."""
    read, report = config.read(text.encode("utf-8", "surrogateescape"), file)
    site = resolve_into(read, library, report)
    report.raise_if_any()
    return site


def paced(answers: Answers, library: Library) -> tuple[Answers, list[Forecast]]:
    """The answers with the first pace that the line can carry, else the slowest, and what they then ask of
    the line. InputError when they make no configuration at all."""
    wanted = 0.0
    for pace in PACES:
        if pace < wanted and pace != PACES[-1]:
            continue
        slowed = replace(answers, pace=pace)
        found = forecasts(proven(rendered(slowed, version="", date=""), "answers", library))
        if not any(forecast.is_overloaded for forecast in found):
            break
        # The load falls nearly with the pace: what is far from enough need not be calculated.
        wanted = max(wanted, 0.9 * pace * max(forecast.stretch for forecast in found))
    return slowed, found
