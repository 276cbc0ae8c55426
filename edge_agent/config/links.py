"""Rules of a bus's link: which of serial, tcp and tls, and which keys go with it.

Pure. What a bus cannot obey is refused rather than ignored: a speed that somebody has set in the wrong
place is a day of searching.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_agent.config.schema import Place
from edge_agent.config.tree import Values
from edge_agent.config.values import SEVEN_BITS
from edge_agent.model import DeviceServerLink, Framing, Parity, SerialLink, TcpLink, TlsLink

KINDS = ("serial", "tcp", "tls")

USUAL_FORMAT = {Framing.RTU: (8, Parity.NONE, 1), Framing.ASCII: (7, Parity.EVEN, 1)}
"""ASCII's is the standard's (Modbus over Serial Line V1.02, 2.5.2); RTU's is what devices come with."""

_TLS_KEYS = ("ca", "cert", "key", "server_name")


def check(place: Place, raw: Mapping[str, Any], given: Values) -> None:
    """What is wrong between the keys of one bus goes to the report."""
    kinds = [kind for kind in KINDS if kind in raw]
    if not kinds:
        place.refuse("has none of serial, tcp and tls", 'for example serial = "/dev/ttyUSB0"')
        return
    kind = kinds[0]
    for other in kinds[1:]:
        (place / other).refuse(f"stands beside {kind}", "a bus is one serial port or one address")
    if kind == "serial":
        _check_format(place, raw, given)
    else:
        _check_network(place, raw, kind)
    if kind == "tls":
        _check_certificates(place, raw)
    else:
        for key in _TLS_KEYS:
            if key in raw:
                (place / key).refuse("is for tls only", 'write tls = "host:802", or leave it out')


def _check_format(place: Place, raw: Mapping[str, Any], given: Values) -> None:
    is_rtu = given["framing"] is Framing.RTU or "framing" not in raw
    if is_rtu and given["format"] and given["format"][0] == 7:
        hint = 'write framing = "ascii" if the devices speak Modbus ASCII'
        (place / "format").refuse(SEVEN_BITS, hint, raw["format"])


def _check_network(place: Place, raw: Mapping[str, Any], kind: str) -> None:
    if kind == "tls" and "framing" in raw:
        (place / "framing").refuse("is for serial and tcp only", "in TLS there is Modbus TCP; leave it out")
    behind = kind == "tcp" and "framing" in raw
    if "baud" in raw and not behind:
        (place / "baud").refuse("is for serial ports only", "set it in the gateway; leave it out here")
    where = "device server" if behind else "gateway"
    for key in ("format", "rs485"):
        if key in raw:
            (place / key).refuse("is for serial ports only", f"set it in the {where}; leave it out here")


def _check_certificates(place: Place, raw: Mapping[str, Any]) -> None:
    if "ca" not in raw:
        (place / "ca").refuse(
            "is missing", "the certificate of who signed the device's, or the device's own; PEM"
        )
    for key, other in (("cert", "key"), ("key", "cert")):
        if key in raw and other not in raw:
            (place / key).refuse(f"needs {other} beside it")


def over_network(given: Values) -> TcpLink:
    """The link of a bus without a port of this machine."""
    if given["tcp"] is None:
        host, port = given["tls"]
        files = {key: given[key] or "" for key in _TLS_KEYS}
        return TlsLink(host=host, port=port, **files)
    host, port = given["tcp"]
    if given["framing"] is None:
        return TcpLink(host=host, port=port)
    return DeviceServerLink(host=host, port=port, framing=given["framing"], baud=given["baud"])


def line_of(link: SerialLink | TcpLink) -> tuple[str, str]:
    """(key, value) of the port that no other bus may have; empty where several are possible.

    A Modbus TCP server keeps its connections apart, a device server gives every reply to all of them.
    """
    if isinstance(link, SerialLink):
        return "serial", link.path
    return ("tcp", f"{link.host}:{link.port}") if isinstance(link, DeviceServerLink) else ("", "")
