"""From what was counted on a bus to what a technician should look at.

Pure: figures of the recent past in, hints out. One rule per cause, each a row of `RULES`: what it is called,
what must have been seen (`symptoms`), what to do, and which weaker explanations it makes superfluous. A
hint says what was seen in figures, so that a wrong guess can be recognised as one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge_agent.bus.quality import symptoms
from edge_agent.bus.quality.symptoms import Picture, Seen


@dataclass(frozen=True, slots=True)
class Hint:
    rule: str
    unit: int | None
    """The unit in question; None: the bus."""
    seen: str
    do: str


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    look: Callable[[Picture], Seen]
    do: str
    hides: tuple[str, ...] = ()
    """Rules whose hints are explained by this one."""
    anywhere: bool = False
    """Also where there is no wire of our own, as on a TCP connection."""
    or_by_server: str = ""
    """What else may be the cause where a device server stands before the line."""

    def advice(self, picture: Picture) -> str:
        return f"{self.do}; {self.or_by_server}" if picture.is_server and self.or_by_server else self.do


def diagnose(picture: Picture) -> list[Hint]:
    """The hints for a bus, the most telling first; none for a bus in order."""
    hints: list[Hint] = []
    hidden: set[str] = set()
    for rule in RULES:
        if rule.name in hidden or not (picture.is_wire or rule.anywhere):
            continue
        found = [Hint(rule.name, unit, seen, rule.advice(picture)) for unit, seen in rule.look(picture)]
        if found:
            hints += found
            hidden.update(rule.hides)
    return hints


RULES: tuple[Rule, ...] = (
    Rule(
        "line_jammed",
        symptoms.line_jammed,
        "somebody does not let go of the line: unplug one device after the other until it is silent",
        hides=(
            "second_master",
            "wrong_speed",
            "duplicate_unit_id",
            "bias",
            "termination",
            "one_poor",
            "slow",
        ),
    ),
    Rule(
        "second_master",
        symptoms.second_master,
        "a line has one master: find the other (PLC, display, another agent, a laptop) and take it off",
        hides=("wrong_speed", "duplicate_unit_id", "bias", "termination", "one_poor", "slow"),
    ),
    Rule(
        "wrong_speed",
        symptoms.wrong_speed,
        "check baud, parity and stop bits of this bus against the devices; are A and B swapped?",
        hides=("termination", "bias", "one_poor"),
    ),
    Rule(
        "all_silent",
        symptoms.all_silent,
        "check power, A and B (swapped?), the common wire, then speed, format and unit ids",
        hides=("one_silent",),
    ),
    Rule(
        "echo",
        symptoms.echo,
        "the adapter hears itself; that is removed, but switch its echo off (receiver off while sending)",
    ),
    Rule(
        "duplicate_unit_id",
        symptoms.duplicate_unit_id,
        "two devices may have this unit id: unplug the one you know; if it still answers, change the other's",
        # What the second one says runs into the next device's transaction.
        hides=("termination", "one_poor"),
        or_by_server="or another program uses the same device server, and its replies come here too: stop it",
    ),
    Rule(
        "bias",
        symptoms.bias,
        "nothing holds the idle line: one pair of bias resistors, 120 ohm at both ends, the common wire",
    ),
    Rule(
        "termination",
        symptoms.termination,
        "the line itself: 120 ohm at both ends only, bias once, common wire, no star, no long stubs",
    ),
    Rule(
        "one_poor",
        symptoms.one_poor,
        "this device's own wiring: terminals, its branch, its common wire, its supply",
    ),
    Rule(
        "slow",
        symptoms.slow,
        "raise `timeout` of the bus, or response_timeout in its profile; is it busy, or behind a gateway?",
        anywhere=True,
    ),
    Rule(
        "adapter_latency",
        symptoms.adapter_latency,
        "set the adapter's latency timer to 1 ms (low_latency): each request now costs up to 16 ms more",
    ),
    Rule(
        "one_silent",
        symptoms.one_silent,
        "the line works: check this device's power, terminals (A/B), unit id, speed and format",
        anywhere=True,
    ),
)
"""In this order; a rule is not looked at when one above it explains what it would see."""
