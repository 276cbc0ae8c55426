"""From answers to the text of agent.toml, with comments that say what else is possible. Pure.

The text is for the technician who opens it in three years without this program's documentation: every key
that is written is explained, and what is most often wanted next stands there as a comment.
"""

from __future__ import annotations

from collections.abc import Iterator

from edge_agent.commissioning.answers import Answers, Device, Unknown
from edge_agent.commissioning.toml_text import comment, quoted
from edge_agent.config.keys import PERIODS
from edge_agent.config.values import duration_ns, show_duration, show_host_and_port
from edge_agent.model import DeviceServerLink, Framing, SerialLink, TcpLink, TlsLink, UplinkDef

_COLUMN = 34
"""Where the explanation of a key begins, if the key leaves room."""


def rendered(answers: Answers, *, version: str, date: str) -> str:
    """The whole file. `date` as it is to stand there."""
    parts = (
        _head(version, date),
        _agent(answers),
        _bus(answers),
        *(_device(device, answers) for device in answers.devices),
        *(_unknown(unit, answers) for unit in answers.unknown),
        _alarm(answers),
        _summary(),
        _uplink(answers.uplink),
        _spool(),
    )
    return "\n".join("\n".join(part) + "\n" for part in parts)


def _head(version: str, date: str) -> Iterator[str]:
    yield f"# Configuration of edge-agent, written by `edge-agent init` {version} on {date}."
    yield "#"
    yield "# It may be edited; then:"
    yield "#   edge-agent check FILE         every mistake at once, with line and hint"
    yield "#   edge-agent plan FILE          what it asks of the line"
    yield "#   systemctl restart edge-agent  to use it"
    yield "# All keys: docs/configuration.md, or man 5 agent.toml."


def _agent(answers: Answers) -> Iterator[str]:
    yield "[agent]"
    yield _line("site", answers.site, "first level of the MQTT topics: ea1/<site>/<id>/...")
    if answers.agent:
        yield _line("id", answers.agent, "second level; every agent needs one of its own")
    else:
        yield '# id = "gw-1"                    # default: host name and six hex digits'


def _bus(answers: Answers) -> Iterator[str]:
    yield "# One table for each line. More of them: [bus.line2] and so on."
    yield f"[bus.{answers.bus}]"
    link = answers.link
    yield from _serial(link) if isinstance(link, SerialLink) else _network(link)
    yield '# timeout = "500ms"               # how long a device may take to answer'
    yield "# max_load = 0.9                  # share of the line's time that may be used"


def _serial(link: SerialLink) -> Iterator[str]:
    yield _line("serial", link.path, "a /dev/serial/by-id/ name survives replugging")
    if link.framing is not Framing.RTU:
        yield _line("framing", str(link.framing), "rtu or ascii")
    yield _line("baud", link.baud, "as all devices on the line are set")
    shown = f"{link.data_bits}{link.parity.value}{link.stop_bits}"
    yield _line("format", shown, "data bits, parity (N, E, O), stop bits")
    if link.rs485 is not None:
        yield _line("rs485", True, "the driver switches direction by RTS")
    else:
        yield "# rs485 = true                    # where the driver must switch direction"


def _network(link: TcpLink) -> Iterator[str]:
    where = show_host_and_port(link.host, link.port)
    if isinstance(link, TlsLink):
        yield _line("tls", where, "Modbus/TCP Security")
        for key in ("ca", "cert", "key", "server_name"):
            if value := getattr(link, key):
                yield _line(key, value)
        return
    yield _line("tcp", where, "Modbus TCP, unless framing is given")
    if isinstance(link, DeviceServerLink):
        yield _line("framing", str(link.framing), "a device server passes a serial line on")
        if link.baud is not None:
            yield _line("baud", link.baud, "of the line behind the device server")


def _device(device: Device, answers: Answers) -> Iterator[str]:
    if device.note:
        yield from comment(device.note)
    yield f"[device.{device.name}]"
    yield _line("bus", answers.bus)
    yield _line("unit_id", device.unit_id, 'or unit_ids = "1-12" for equal devices')
    yield _line("profile", device.profile, "which registers it has, and what they mean")
    if answers.pace > 1:
        yield from comment("Slower than the defaults, which ask more of this line than it can carry.")
        yield f"periods = {_periods(answers.pace)}"
    else:
        yield f"# periods = {_periods(1)}"


def _periods(pace: int) -> str:
    """What the poll classes of profiles mean; a day is the longest."""
    every = {
        name: show_duration(min(pace * duration_ns(str(PERIODS.keys[name].default)), 86400 * 10**9))
        for name in ("fast", "normal", "slow")
    }
    return "{ " + ", ".join(f'{name} = "{period}"' for name, period in every.items()) + " }"


def _unknown(unit: Unknown, answers: Answers) -> Iterator[str]:
    about = f"Unit {unit.unit_id} answers ({unit.heard}), and" if unit.heard else f"Unit {unit.unit_id}:"
    yield from comment(f"{about} nobody has said what it is.")
    yield from comment("If it has a profile, name it; else its registers as its manual has them:")
    yield f"# [device.unit_{unit.unit_id}]"
    yield f"# bus     = {quoted(answers.bus)}"
    yield f"# unit_id = {unit.unit_id}"
    yield '# profile = "vendor/family"'
    yield f"# [device.unit_{unit.unit_id}.point.pressure]"
    yield '# area    = "holding"             # coil, discrete, input, holding'
    yield "# address = 100                   # on the wire, from 0: 40101 is 100"
    yield '# type    = "f32"                 # bool u16 s16 u32 s32 f32 ... string'
    yield '# unit    = "bar"'
    yield '# poll    = "1s"'


def _alarm(answers: Answers) -> Iterator[str]:
    yield "# Every device has an alarm NAME.silent. Others are written like this:"
    yield "# [alarm.overvoltage]"
    point = f'# point    = "{answers.devices[0].name}.POINT"'
    yield f"{point.ljust(_COLUMN - 1)} # a point of the profile"
    yield "# above    = 250.0                # or below, outside, rate_above, equals"
    yield '# on_delay = "5s"'
    yield '# severity = "warning"            # info, warning, critical'


def _summary() -> Iterator[str]:
    yield "# Of each point a summary (count, min, max, mean, ...) is sent for each window."
    yield "[summary]"
    yield _line("window", "60s", 'or send = "samples" for every single value')


def _uplink(uplink: UplinkDef) -> Iterator[str]:
    yield "# The MQTT broker that takes the records."
    yield "[uplink]"
    yield _line("url", uplink.url, "mqtts:// encrypts; mqtt:// does not")
    if uplink.insecure:
        yield _line("insecure", True, "everybody on the way may read and change it")
    for key, meaning in _UPLINK.items():
        if value := getattr(uplink, key):
            yield _line(key, value, meaning)
    yield '# ack = "receiver"                # keep records until a receiver has them'


_UPLINK = {
    "username": "",
    "password_file": "the password alone; never in this file",
    "ca": "who may have signed the broker's certificate",
    "cert": "our certificate",
    "key": "its private key",
}


def _spool() -> Iterator[str]:
    yield "# Where records wait while the broker is away."
    yield "[spool]"
    yield _line("max_size", "512MiB", "the oldest go first; every loss is declared")
    yield '# commit = "5s"                   # spares an SD card; the default is 1s'


def _line(key: str, value: str | int | bool, meaning: str = "") -> str:
    shown = quoted(value) if isinstance(value, str) else str(value).lower()
    text = f"{key} = {shown}"
    if not meaning:
        return text
    return f"{text.ljust(_COLUMN - 1)} # {meaning}" if len(text) < _COLUMN else f"# {meaning}\n{text}"
