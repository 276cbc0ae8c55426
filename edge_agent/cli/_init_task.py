"""What `edge-agent init` is told by its options; what is left out is asked. Pure."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path

from edge_agent.cli._problems import Problems
from edge_agent.commissioning import checks, naming
from edge_agent.commissioning.naming import Named
from edge_agent.config import values
from edge_agent.errors import InputError
from edge_agent.model import Framing

CONFIG = Path("/etc/edge-agent/agent.toml")
_TLS = ("ca", "cert", "key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Empty where nothing was said."""

    config: Path
    port: str = ""
    tcp: tuple[str, int] | None = None
    framing: Framing | None = None
    baud: str = ""
    """As for a search: one speed, several, or all."""
    format: str = ""
    units: str = ""
    rs485: bool = False
    scan: bool = True
    devices: tuple[Named, ...] = ()
    site: str = ""
    agent: str = ""
    broker: str = ""
    username: str = ""
    password_file: str = ""
    tls: dict[str, str] = field(default_factory=dict)
    insecure: bool = False


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--config", type=Path, default=CONFIG, metavar="FILE", help=f"what to write (default: {CONFIG})")
    add("--force", action="store_true", help="replace a configuration that is there; a dated copy is kept")
    add("--yes", action="store_true", help="ask nothing: options and defaults are the answers")
    line = parser.add_argument_group("the line").add_argument
    line("--port", metavar="PATH", help="serial port, best as /dev/serial/by-id/...")
    line("--tcp", metavar="HOST[:PORT]", help="Modbus TCP server or gateway; a device server with --framing")
    line("--framing", choices=[*map(str, Framing)], help="ascii: Modbus ASCII; with --tcp: a device server")
    line("--baud", metavar="LIST", help="speeds to try, or all (default: the usual ones)")
    line("--format", metavar="LIST", help="formats to try, or all (default: 8N1,8E1)")
    line("--units", metavar="LIST", help="unit ids to look for (default: 1-247)")
    line("--rs485", action="store_true", help="let the driver switch direction, RTS high while sending")
    line("--no-scan", action="store_true", help="send nothing: speed, format and unit ids are as given")
    devices = parser.add_argument_group("devices").add_argument
    devices(
        "--device",
        action="append",
        default=[],
        metavar="NAME=UNIT[:PROFILE]",
        help="name a device and its profile, such as meter=1:eastron/sdm630; may be repeated",
    )
    uplink = parser.add_argument_group("names and broker").add_argument
    uplink("--site", metavar="NAME", help="first level of the topics")
    uplink("--id", metavar="NAME", help="second level (default: host name and six hex digits)")
    uplink("--broker", metavar="URL", help="mqtts://HOST[:PORT], or mqtt://127.0.0.1")
    uplink("--user", metavar="NAME", help="to log in with")
    uplink("--password-file", metavar="FILE", help="holds the password alone; asked for otherwise")
    uplink(
        "--ca", metavar="FILE", help="who may have signed the broker's certificate (default: the system's)"
    )
    uplink("--cert", metavar="FILE", help="our certificate")
    uplink("--key", metavar="FILE", help="its private key")
    uplink("--insecure", action="store_true", help="allow mqtt:// to another machine: readable on the way")


def parse(options: argparse.Namespace) -> Given:
    """Raises InputError with all that is wrong."""
    problems = Problems()
    nowhere: tuple[str, int] = ("", 0)
    tcp = None
    if options.tcp is not None:
        tcp = problems.parsed("--tcp", lambda text: values.host_and_port(text, 502), options.tcp, nowhere)
    _check_line(options, problems)
    given = Given(
        config=options.config,
        port=_text("--port", checks.file_path, options.port, problems),
        tcp=tcp,
        framing=Framing(options.framing) if options.framing else None,
        baud=options.baud or "",
        format=options.format or "",
        units=options.units or "",
        rs485=options.rs485,
        scan=not options.no_scan and not options.framing,
        devices=_devices(options.device, problems),
        site=_text("--site", checks.topic_level, options.site, problems),
        agent=_text("--id", checks.topic_level, options.id, problems),
        broker=_broker(options.broker, problems),
        username=_text("--user", checks.user_name, options.user, problems),
        password_file=_text("--password-file", checks.file_path, options.password_file, problems),
        tls={name: _text(f"--{name}", checks.file_path, getattr(options, name), problems) for name in _TLS},
        insecure=options.insecure,
    )
    _check_broker(given, problems)
    if options.yes:
        _check_complete(options, problems)
    if problems.all:
        raise InputError(problems.all)
    return given


def _text(option: str, check: checks.Check, text: str | None, problems: Problems) -> str:
    return "" if text is None else problems.parsed(option, check, text, "")


def _broker(text: str | None, problems: Problems) -> str:
    if text is not None and "@" in text:
        # What is wrong is repeated in messages, and those end up in logs.
        problems.add("--broker", "must not contain a user or password", "not shown", "say --user")
        return ""
    return _text("--broker", checks.url, text, problems)


def _devices(given: list[str], problems: Problems) -> tuple[Named, ...]:
    devices = []
    for text in given:
        try:
            devices.append(naming.named(text))
        except ValueError as error:
            problems.add("--device", str(error), text)
    for one, what in naming.doubles(devices):
        problems.add("--device", what, f"{one.name}={one.unit_id}")
    return tuple(devices)


def _check_line(options: argparse.Namespace, problems: Problems) -> None:
    if options.port is not None and options.tcp is not None:
        problems.add("--tcp", "stands beside --port", options.tcp, "a line is one port or one address")
    if options.tcp is not None:
        for name in ("format", "rs485") if options.framing else ("baud", "format", "rs485"):
            if getattr(options, name):
                hint = "the line behind it has its own setting"
                problems.add(f"--{name}", "is for a serial port only", getattr(options, name), hint)
    if options.units is not None:
        nobody: tuple[int, ...] = ()
        problems.parsed("--units", checks.unit_ids, options.units, nobody)


def _check_complete(options: argparse.Namespace, problems: Problems) -> None:
    """What has no default and nobody is asked for: said before a search of minutes, not after it."""
    if options.port is None and options.tcp is None:
        problems.add("--port", "is missing", "", "or --tcp HOST; without --yes the ports are shown")
    for option in ("site", "broker"):
        if getattr(options, option) is None:
            problems.add(f"--{option}", "is missing", "", "without --yes it is asked for")


def _check_broker(given: Given, problems: Problems) -> None:
    tls = {name: path for name, path in given.tls.items() if path}
    if given.password_file and not given.username:
        problems.add("--password-file", "needs --user beside it", given.password_file)
    if bool(given.tls["cert"]) != bool(given.tls["key"]):
        problems.add("--cert", "and --key go together", given.tls["cert"] or given.tls["key"])
    if not given.broker:
        return
    if not given.broker.startswith("mqtts://"):
        for name, path in tls.items():
            problems.add(f"--{name}", "is for mqtts:// only", path, "write --broker mqtts://...")
    if checks.needs_insecure(given.broker) and not given.insecure:
        hint = "use mqtts://, or say --insecure if everybody on the way may read and change the data"
        problems.add("--broker", "is plain MQTT to another machine", given.broker, hint)
