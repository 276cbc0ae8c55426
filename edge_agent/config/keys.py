"""Every key of a configuration file: its reader, its range, its default.

docs/configuration.md is held against these tables by a test. Rules between keys are in `load`.
"""

from __future__ import annotations

from edge_agent.config import values
from edge_agent.config.pointkeys import WRITE_HINTS, period, points, quirks
from edge_agent.config.readers import (
    array,
    boolean,
    choice,
    duration,
    enumerated,
    integer,
    interval,
    name,
    notation,
    number,
    pattern,
    size,
    text,
)
from edge_agent.config.schema import Key, Place, Refusal, Table, kind, read_table
from edge_agent.model import AlarmInput, Framing, Rs485, Send, Severity

_PASSWORD = 'put the password alone into a file that only the agent may read: password_file = "/etc/..."'
_FORMAT = 'write format = "8E1": data bits, parity, stop bits'
_RS485 = 'write rs485 = true, or rs485 = { rts_on_send = true, delay_before_send = "0ms" }'
_POINT_HINT = 'write "device.point", or "meter_*.point" for one alarm per device'


def absolute_path(place: Place, value: object) -> str:
    path: str = text(1000)(place, value)
    if not path.startswith("/"):
        raise Refusal("must be an absolute path", "a service has no working directory to rely on")
    return path


def topic_level(place: Place, value: object) -> str:
    """Text that can be one level of an MQTT topic (MQTT 5.0, 4.7.1)."""
    level: str = text(64)(place, value)
    if any(character in "/+# " for character in level) or level.startswith("$"):
        raise Refusal("must be one level of an MQTT topic", "no / + # or blank in it, no $ before it")
    return level


AGENT = Table("agent", {"site": Key(topic_level, required=True), "id": Key(topic_level)}, WRITE_HINTS)


def delay_ms(place: Place, value: object) -> int:
    """A duration in whole milliseconds: the unit of struct serial_rs485, and 100 of them its limit."""
    ns: int = duration("0ms", "100ms")(place, value)
    if ns % 1_000_000:
        raise Refusal("must be whole milliseconds", "the driver counts milliseconds")
    return ns // 1_000_000


RS485 = Table(
    "bus.NAME.rs485",
    {
        "rts_on_send": Key(boolean, True),
        "delay_before_send": Key(delay_ms, "0ms"),
        "delay_after_send": Key(delay_ms, "0ms"),
        "rx_during_tx": Key(boolean, False),
    },
    {
        "rts_after_send": "it is the opposite of rts_on_send",
        "delay": "write delay_before_send or delay_after_send",
    },
)


def rs485(place: Place, value: object) -> Rs485 | None:
    """`true` and `{}` are the same: on, RTS high while sending. `false`: left as the driver has it."""
    if isinstance(value, bool):
        value = {} if value else None
    if value is None:
        return None
    if not isinstance(value, dict):
        raise Refusal(f"must be true or a table, not {kind(value)}", _RS485)
    given = read_table(place, value, RS485)
    if place.report.is_flawed(place.path):
        return None
    return Rs485(
        rts_on_send=given["rts_on_send"],
        delay_before_send_ms=given["delay_before_send"],
        delay_after_send_ms=given["delay_after_send"],
        rx_during_tx=given["rx_during_tx"],
    )


BUS = Table(
    "bus.NAME",
    {
        "serial": Key(absolute_path),
        "tcp": Key(notation(lambda value: values.host_and_port(value, 502))),
        "tls": Key(notation(lambda value: values.host_and_port(value, 802))),
        "framing": Key(enumerated(Framing)),
        "baud": Key(integer(300, 4_000_000)),
        "format": Key(notation(values.any_character_format)),
        "ca": Key(absolute_path),
        "cert": Key(absolute_path),
        "key": Key(absolute_path),
        "server_name": Key(pattern("[A-Za-z0-9:][A-Za-z0-9._:-]{0,252}", "is not a host name or an address")),
        "timeout": Key(duration("10ms", "60s"), "500ms"),
        "max_load": Key(number(0.01, 1.0), 0.9),
        "retries": Key(integer(0, 5), 1),
        "interframe": Key(duration("0s", "1s")),
        "rs485": Key(rs485),
    },
    {
        **WRITE_HINTS,
        "parity": _FORMAT,
        "stop*": _FORMAT,
        "port": "write serial, tcp or tls",
    },
)

PERIODS = Table(
    "device.NAME.periods",
    {
        "fast": Key(period, "1s"),
        "normal": Key(period, "5s"),
        "slow": Key(period, "60s"),
        "once": Key(period, "1h"),
    },
    {"on_demand": "such points are not polled; give the point a poll of its own"},
)

DEVICE = Table(
    "device.NAME",
    {
        "bus": Key(name, required=True),
        "unit_id": Key(integer(0, 255)),
        "unit_ids": Key(notation(values.unit_ids)),
        "profile": Key(pattern("[a-z0-9_]+/[a-z0-9_]+", 'is not a profile id such as "eastron/sdm630"')),
        "periods": Key(lambda place, value: read_table(place, value, PERIODS), {}),
        "points": Key(array(pattern("[a-z0-9_*?]+", "is not a point's name or a pattern such as v_*"))),
        "point": Key(points, {}),
        "quirks": Key(quirks, {}),
        "send": Key(enumerated(Send)),
        "shared": Key(boolean, False),
        "allow_reserved_unit": Key(boolean, False),
    },
    {**WRITE_HINTS, "address": "the device's address is unit_id; a point's is in [device.NAME.point.NAME]"},
)

ALARM = Table(
    "alarm.NAME",
    {
        "point": Key(
            pattern(r"[a-z0-9_*?]+\.[a-z][a-z0-9_]*", "is not a point", _POINT_HINT),
            required=True,
        ),
        "above": Key(number()),
        "below": Key(number()),
        "outside": Key(interval),
        "rate_above": Key(number(0)),
        "equals": Key(number()),
        "input": Key(enumerated(AlarmInput), "filtered"),
        "deadband": Key(number(0), 0.0),
        "on_delay": Key(duration("0s", "1d"), "0s"),
        "off_delay": Key(duration("0s", "1d"), "0s"),
        "severity": Key(enumerated(Severity), "warning"),
    },
    WRITE_HINTS,
)

SUMMARY = Table(
    "summary",
    {
        "window": Key(duration("1s", "1d"), "60s"),
        "checkpoint": Key(duration("1s", "1d"), "60s"),
        "send": Key(enumerated(Send), "summary"),
    },
    WRITE_HINTS,
)

SAMPLES = Table("samples", {"batch": Key(duration("10ms", "10m"))}, WRITE_HINTS)

UPLINK = Table(
    "uplink",
    {
        "url": Key(text(300), required=True),
        "username": Key(text(200)),
        "password_file": Key(absolute_path),
        "ca": Key(absolute_path),
        "cert": Key(absolute_path),
        "key": Key(absolute_path),
        "protocol": Key(choice("auto", "5", "3.1.1"), "auto"),
        "insecure": Key(boolean, False),
        "keepalive": Key(duration("5s", "1h"), "30s"),
        "client_id": Key(text(128)),
        "backlog_rate": Key(integer(1, 100_000), 200),
        "ack": Key(choice("broker", "receiver"), "broker"),
    },
    {**WRITE_HINTS, "pass*": _PASSWORD, "user": "did you mean username?"},
)

SPOOL = Table(
    "spool",
    {
        "path": Key(absolute_path, "/var/lib/edge-agent/spool"),
        "max_size": Key(size("4MiB", "1TiB"), "512MiB"),
        "min_free": Key(size("0B", "1TiB"), "64MiB"),
        "commit": Key(duration("10ms", "60s"), "1s"),
        "keep": Key(size("0B", "1TiB"), "64MiB"),
        "max_age": Key(duration("0s", "3650d"), "0s"),
    },
    WRITE_HINTS,
)
