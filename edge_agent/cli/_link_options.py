"""Options of `edge-agent read` for lines that are not RTU on a port of this machine. Pure.

The same rules as for `[bus.NAME]` in a configuration, in the words of a command line.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from edge_agent.cli._problems import Problems
from edge_agent.config import values
from edge_agent.config.links import USUAL_FORMAT
from edge_agent.model import DeviceServerLink, Framing, Parity, TcpLink, TlsLink

_TLS = ("ca", "cert", "key", "server_name")
_SERIAL = ("baud", "format", "rs485")
_AGENTS = (*_SERIAL, "framing", *_TLS, "timeout")
"""What a running agent knows of its lines."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--framing",
        choices=[*map(str, Framing)],
        help="ascii: Modbus ASCII; with --tcp: what a serial device server passes on",
    )
    parser.add_argument(
        "--ca", metavar="FILE", help="with --tls: who may have signed the device's certificate"
    )
    parser.add_argument("--cert", metavar="FILE", help="with --tls: our certificate")
    parser.add_argument("--key", metavar="FILE", help="with --tls: its private key")
    parser.add_argument(
        "--server-name", metavar="NAME", help="with --tls: the name in the device's certificate"
    )


def framing(options: argparse.Namespace) -> Framing:
    """Of a serial port."""
    return Framing(options.framing or Framing.RTU)


def character_format(options: argparse.Namespace, problems: Problems) -> tuple[int, Parity, int]:
    """Of a serial port; ASCII may have 7 data bits."""
    usual = USUAL_FORMAT[framing(options)]
    if options.format is None:
        return usual
    is_ascii = framing(options) is Framing.ASCII
    parse = values.any_character_format if is_ascii else values.character_format
    return problems.parsed("--format", parse, options.format.upper(), usual)


def refuse(
    options: argparse.Namespace, problems: Problems, names: Iterable[str], why: str, hint: str
) -> None:
    """Options that were given and cannot be obeyed: whoever gives one counts on it."""
    for name in names:
        given = getattr(options, name)
        if given is not None and given is not False:
            problems.add("--" + name.replace("_", "-"), why, "given" if given is True else given, hint)


def of_agent(options: argparse.Namespace, problems: Problems) -> None:
    """The options beside --device."""
    why = "is not given with --device: the agent knows it"
    refuse(options, problems, _AGENTS, why, "to ask without the agent: --port, --tcp or --tls")


def over_network(options: argparse.Namespace, problems: Problems) -> TcpLink | None:
    """The link by --tcp or --tls; None when there is neither."""
    if options.tls is None:
        refuse(options, problems, _TLS, "is for --tls only", "")
    if options.tcp is not None:
        return _tcp(options, problems)
    return _tls(options, problems) if options.tls is not None else None


def _tcp(options: argparse.Namespace, problems: Problems) -> TcpLink:
    host, port = _address(options.tcp, "--tcp", 502, problems)
    if options.framing is None:
        hint = "in Modbus TCP there is no serial line; to a serial device server: --framing rtu"
        refuse(options, problems, _SERIAL, "is for --port, or a device server's line", hint)
        return TcpLink(host=host, port=port)
    refuse(options, problems, _SERIAL[1:], "is for --port only", "that is set in the device server")
    return DeviceServerLink(host=host, port=port, framing=Framing(options.framing), baud=options.baud)


def _tls(options: argparse.Namespace, problems: Problems) -> TlsLink:
    host, port = _address(options.tls, "--tls", 802, problems)
    refuse(options, problems, _SERIAL, "is for --port only", "in TLS there is Modbus TCP")
    if options.framing is not None:
        hint = "in TLS there is Modbus TCP"
        problems.add("--framing", "is for --port and --tcp only", options.framing, hint)
    if not options.ca:
        problems.add("--ca", "is missing", "", "the certificate of who signed the device's, or its own")
    if bool(options.cert) != bool(options.key):
        problems.add("--cert", "and --key go together", options.cert or options.key)
    files = {name: getattr(options, name) or "" for name in _TLS}
    return TlsLink(host=host, port=port, **files)


def _address(text: str, option: str, port: int, problems: Problems) -> tuple[str, int]:
    return problems.parsed(option, lambda text: values.host_and_port(text, port), text, ("", port))
