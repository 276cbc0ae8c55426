"""Where the broker is and how to log in: `mqtt://host:port` taken apart, with its rules.

Owns the rule that plain MQTT leaves the host only by an explicit word, and that a bad host name is an
input error here rather than an exception deep inside a resolver. Opens nothing.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from edge_agent.errors import UplinkError

_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_DEFAULT_PORT = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int
    tls: bool

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """File names, not contents: they are read at each connection, so that renewal needs no restart."""

    username: str = ""
    password_file: str = ""
    ca: str = ""
    """Empty: the system's certificate authorities."""
    cert: str = ""
    key: str = ""


def parse(url: str, *, insecure: bool = False) -> Address:
    """The address in `url`; UplinkError with a hint when it is none, or breaks the plain-text rule."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise UplinkError(f"broker url {url!r}: {error}\n    hint: write mqtts://host:8883") from error
    if parts.scheme not in _DEFAULT_PORT:
        raise UplinkError(f"broker url {url!r} must begin with mqtt:// or mqtts://")
    if parts.username or parts.password:
        raise UplinkError(
            "the broker url holds a user name or password, which would end up in logs\n"
            "    hint: use username and password_file"
        )
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise UplinkError(f"broker url {url!r} must end after the port")
    if not _is_host(host):
        raise UplinkError(f"broker url {url!r}: {host!r} is no host name or IP address")
    if port == 0:
        raise UplinkError(f"broker url {url!r}: port 0 cannot be connected to")
    address = Address(host, port or _DEFAULT_PORT[parts.scheme], parts.scheme == "mqtts")
    if not address.tls and not insecure and not is_loopback(host):
        raise UplinkError(
            f"plain MQTT to {host} would send everything readable, the password too\n"
            "    hint: use mqtts://, or allow it with insecure = true (--insecure)"
        )
    return address


def is_loopback(host: str) -> bool:
    """Whether `host` surely is this machine: `localhost` or a loopback address, without asking DNS."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        labels = host.removesuffix(".").split(".")
        return len(host) <= 253 and all(_LABEL.fullmatch(label) for label in labels)
    return True
