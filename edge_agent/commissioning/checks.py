"""Single answers, judged by the readers that will judge them in the file. Pure.

Each takes text as typed and returns the value, or raises ValueError with what is wrong and what to write:
the same words for a question at the terminal, for an option and for `check`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from edge_agent.config import broker, keys, toml, values
from edge_agent.config.readers import name as name_reader
from edge_agent.config.schema import Place, Reader, Refusal, Report

HIGHEST_UNIT = 247
"""Beyond it unit ids are reserved; who has such a device writes it into the file."""


Check = Callable[[str], Any]


def _by(reader: Reader) -> Check:
    def check(text: str) -> Any:
        place = Place(Report(toml.parse(b"", "answer")))
        try:
            return reader(place, text)
        except Refusal as refusal:
            hint = f" ({refusal.hint})" if refusal.hint else ""
            raise ValueError(f"{refusal.message}{hint}") from None

    return check


topic_level = _by(keys.topic_level)
"""A site or an agent id."""
file_path = _by(keys.absolute_path)
device_name = _by(name_reader)
user_name = _by(keys.UPLINK.keys["username"].read)
profile_id = _by(keys.DEVICE.keys["profile"].read)


def speed(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 8 and 300 <= int(text) <= 4_000_000):
        raise ValueError("is no speed from 300 to 4000000 baud")
    return int(text)


def unit_ids(text: str) -> tuple[int, ...]:
    """`1-3,7`: unit ids that a device on a line may have."""
    units = values.unit_ids(text)
    for unit in units:
        if not 1 <= unit <= HIGHEST_UNIT:
            raise ValueError(f"has unit id {unit}: devices have 1 to {HIGHEST_UNIT}")
    return units


def url(text: str) -> str:
    """A broker's; where the scheme is left out, plain MQTT on this machine and TLS to any other."""
    if "://" not in text:
        host = values.host_and_port(text, 0)[0]
        text = f"{'mqtt' if values.is_loopback(host) else 'mqtts'}://{text}"
    try:
        broker.parse_url(text)
    except ValueError as error:
        raise ValueError(f"{error} (for example mqtts://broker.example:8883)") from None
    if len(text) > 300:
        raise ValueError("is longer than 300 characters")
    return text


def needs_insecure(text: str) -> bool:
    """Whether this url sends everything readable over a network."""
    scheme, host, _ = broker.parse_url(text)
    return scheme == "mqtt" and not values.is_loopback(host)


def one_of(text: str, choices: Sequence[str]) -> str:
    """By number from 1, or by itself."""
    if text.isascii() and text.isdecimal() and len(text) < 6 and 1 <= int(text) <= len(choices):
        return choices[int(text) - 1]
    if text in choices:
        return text
    raise ValueError(f"is none of 1 to {len(choices)}")
