"""The reply times that `edge-agent plan` reckons with: given, measured by a running agent, or assumed."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass

from edge_agent.cli._problems import wrong
from edge_agent.config.values import duration_ns, show_duration
from edge_agent.daemon import sockets, status
from edge_agent.model import Site


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyTimes:
    """In nanoseconds by device; those that are missing are assumed."""

    by_device: Mapping[str, int]
    exact: bool
    """Given; what is measured is taken in steps, as the agent does."""

    def source(self, device: str) -> str:
        if device not in self.by_device:
            return "assumed"
        return "given" if self.exact else "measured"


def check(options: argparse.Namespace) -> None:
    if options.socket and not options.measured:
        raise wrong("--socket", "is for --measured only", str(options.socket))


def of(options: argparse.Namespace, site: Site) -> ReplyTimes:
    if options.measured:
        return ReplyTimes(by_device=_measured(options, site), exact=False)
    if options.turnaround is None:
        return ReplyTimes(by_device={}, exact=False)
    given_ns = _given_ns(options.turnaround, site)
    return ReplyTimes(by_device={device.name: given_ns for device in site.devices}, exact=True)


def _measured(options: argparse.Namespace, site: Site) -> dict[str, int]:
    buses = status.fetch(options.socket or sockets.default_path())["buses"]
    known = {device["name"]: device["latency_ms"]["average"] for bus in buses for device in bus["devices"]}
    ours = {device.name for device in site.devices}
    if not ours & known.keys():
        has = f"it has: {', '.join(list(known)[:20]) or 'none'}; another agent: --socket PATH"
        raise wrong("--measured", "the running agent knows no device of this file", site.source, has)
    return {name: round(ms * 1e6) for name, ms in known.items() if name in ours and ms > 0}


def _given_ns(text: str, site: Site) -> int:
    try:
        given_ns = duration_ns(text)
    except ValueError as error:
        raise wrong("--turnaround", str(error), text) from None
    if not given_ns:
        raise wrong("--turnaround", "must be more than nothing", text)
    for bus in site.buses:
        for device in bus.devices:
            timeout_ns = device.quirks.response_timeout_ns or bus.timeout_ns
            if given_ns > timeout_ns:
                message = (
                    f"no reply later than its timeout of {show_duration(timeout_ns)} counts, at {device.name}"
                )
                raise wrong("--turnaround", message, text)
    return given_ns
