"""The names of all MQTT topics, and what a name may be made of.

Owns the topic tree `ea1/<site>/<agent>/{up,dn}/...`. The direction is in the topic, so that an access
list needs two lines per agent. Knows nothing of payloads.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from edge_agent.errors import UplinkError

WIRE_VERSION = "ea1"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_ALARM_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
"""Alarms made from a wildcard carry the device's name too, so they may be longer."""


def is_name(text: str) -> bool:
    """Whether `text` may be a site or an agent: no separators, no wildcards, no control characters."""
    return _NAME.fullmatch(text) is not None


def is_alarm_name(text: str) -> bool:
    return _ALARM_NAME.fullmatch(text) is not None


class Topics:
    """The topics of one agent."""

    def __init__(self, site: str, agent: str) -> None:
        for what, name in (("site", site), ("agent", agent)):
            if not is_name(name):
                raise UplinkError(
                    f"{what} name {name!r} cannot be part of a topic\n"
                    "    hint: use 1 to 64 of letters, digits, '_', '.', '-'"
                )
        self.root = f"{WIRE_VERSION}/{site}/{agent}"
        self.status = f"{self.root}/up/status"
        self.health = f"{self.root}/up/health"
        self.hist_birth = f"{self.root}/up/hist/birth"
        self.ack = f"{self.root}/dn/ack"
        self.replay = f"{self.root}/dn/replay"
        self.rebirth = f"{self.root}/dn/rebirth"

    def birth(self, part: int = 0) -> str:
        """Nearly every dictionary is one part; further ones are numbered."""
        return f"{self.root}/up/birth/{part}" if part else f"{self.root}/up/birth"

    def data(self, stream: str) -> str:
        return f"{self.root}/up/data/{stream}"

    def hist(self, stream: str) -> str:
        return f"{self.root}/up/hist/{stream}"

    def alarm(self, name: str) -> str:
        return f"{self.root}/up/alarm/{name}"


def client_id(site: str, agent: str) -> str:
    """Stable over restarts, so that a second agent with the same identity is noticed."""
    return f"{WIRE_VERSION}-{site}-{agent}"


def subscriptions(site: str, agent: str, group: str = "") -> tuple[str, ...]:
    """What a receiver subscribes to; an empty `site` or `agent` stands for all of them. The receivers of a
    `group` share the records, while each gets every status and every birth."""
    root = f"{WIRE_VERSION}/{site or '+'}/{agent or '+'}/up"
    own = (f"{root}/status", f"{root}/birth/#")
    if not group:
        return (*own, f"{root}/data/+", f"{root}/hist/+")
    return (*own, f"{root}/hist/birth", f"$share/{group}/{root}/data/+", f"$share/{group}/{root}/hist/+")


@dataclass(frozen=True, slots=True)
class Place:
    """A received topic, taken apart. `channel` is `status`, `birth`, `data` or `hist`."""

    site: str
    agent: str
    channel: str
    stream: str
    """Of `data` and `hist`; of `birth` the part's number; empty otherwise."""


def maybe_place(topic: str) -> Place | None:
    """Whose topic this is, None when it is not one that a receiver reads."""
    parts = topic.split("/")
    if len(parts) not in (5, 6) or parts[0] != WIRE_VERSION or parts[3] != "up":
        return None
    site, agent, channel, stream = parts[1], parts[2], parts[4], "".join(parts[5:])
    if not is_name(site) or not is_name(agent):
        return None
    if channel in ("data", "hist"):
        known = is_name(stream)
    elif channel == "birth":
        known = len(parts) == 5 or stream.isdecimal()
    else:
        known = channel == "status" and len(parts) == 5
    return Place(site, agent, channel, stream) if known else None
