"""Answers for tests, small and arbitrary."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from edge_agent.commissioning.answers import Answers, Device, Unknown
from edge_agent.model import DeviceServerLink, Framing, Parity, Rs485, SerialLink, TcpLink, UplinkDef

PROFILES = ("eastron/sdm120", "eastron/sdm630", "saia/ale3")


def answers(**keys: Any) -> Answers:
    given: dict[str, Any] = {
        "site": "plant-a",
        "agent": "gw-1",
        "link": SerialLink(path="/dev/ttyUSB0", baud=19200),
        "devices": (Device(name="meter", unit_id=1, profile="eastron/sdm630"),),
        "uplink": UplinkDef(url="mqtt://127.0.0.1:1883"),
    }
    return Answers(**(given | keys))


# Any character that can be written at all, with those that TOML and terminals mind more often.
nasty = st.one_of(
    st.characters(codec="utf-8"), st.sampled_from("\"'\\#\n\r\t\0\x1b\x7f\x85\u2028\u202e[]={}\ufeff")
)
any_text = st.text(nasty, max_size=300)
printable_text = st.text(nasty.filter(str.isprintable), min_size=1, max_size=64)
topic_levels = printable_text.filter(lambda text: not set(text) & set("/+# ") and not text.startswith("$"))
paths = st.text(nasty.filter(str.isprintable), max_size=200).map(lambda text: "/" + text)
names = st.from_regex(r"[a-z][a-z0-9_]{0,47}", fullmatch=True)
hosts = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True)
ports = st.integers(1, 65535)

serial_links = st.builds(
    SerialLink,
    path=paths,
    baud=st.integers(300, 4_000_000),
    parity=st.sampled_from(Parity),
    stop_bits=st.sampled_from((1, 2)),
    rs485=st.sampled_from((None, Rs485())),
)
ascii_links = st.builds(
    SerialLink,
    path=paths,
    baud=st.integers(300, 4_000_000),
    data_bits=st.sampled_from((7, 8)),
    framing=st.just(Framing.ASCII),
)
network_links = st.builds(TcpLink, host=hosts, port=ports) | st.builds(
    DeviceServerLink,
    host=hosts,
    port=ports,
    framing=st.sampled_from(Framing),
    baud=st.none() | st.integers(300, 4_000_000),
)
files = st.just("") | paths


@st.composite
def uplinks(draw: st.DrawFn) -> UplinkDef:
    host, port = draw(hosts), draw(ports)
    username = draw(st.just("") | printable_text)
    password_file = draw(files) if username else ""
    if not draw(st.booleans()):
        return UplinkDef(
            url=f"mqtt://{host}:{port}", insecure=True, username=username, password_file=password_file
        )
    cert = draw(files)
    return UplinkDef(
        url=f"mqtts://{host}:{port}",
        username=username,
        password_file=password_file,
        ca=draw(files),
        cert=cert,
        key=draw(paths) if cert else "",
    )


@st.composite
def any_answers(draw: st.DrawFn) -> Answers:
    """Whatever the checks let through, and notes that a device may have had a say in."""
    units = draw(st.lists(st.integers(1, 247), min_size=1, max_size=6, unique=True))
    named = draw(st.lists(names, min_size=len(units), max_size=len(units), unique=True))
    known = draw(st.integers(1, len(units)))
    return Answers(
        site=draw(topic_levels),
        agent=draw(topic_levels),
        bus=draw(names),
        link=draw(serial_links | ascii_links | network_links),
        devices=tuple(
            Device(name=name, unit_id=unit, profile=draw(st.sampled_from(PROFILES)), note=draw(any_text))
            for name, unit in zip(named[:known], units[:known], strict=True)
        ),
        unknown=tuple(Unknown(unit_id=unit, heard=draw(any_text)) for unit in units[known:]),
        pace=draw(st.sampled_from((1, 2, 300))),
        uplink=draw(uplinks()),
    )
