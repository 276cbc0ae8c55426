"""Small notations of configuration files: durations, sizes, character formats, unit ids, addresses.

Pure functions from text to values; ValueError with a message for people when the text is wrong.
Knows no keys and no files.
"""

from __future__ import annotations

import re

from edge_agent.model import Parity

_US, _MS, _S = 1_000, 1_000_000, 1_000_000_000
_DURATION_NS = {"us": _US, "ms": _MS, "s": _S, "m": 60 * _S, "h": 3600 * _S, "d": 86400 * _S}
_DURATION = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,9}))?(us|ms|s|m|h|d)", re.ASCII)
_SIZE_BYTES = {
    "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
}  # fmt: skip
_SIZE = re.compile(r"([0-9]{1,9})(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)", re.ASCII)
_UNIT_RANGE = re.compile(r"([0-9]{1,3})(?:-([0-9]{1,3}))?", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252}[A-Za-z0-9])?", re.ASCII)

SEVEN_BITS = "has 7 data bits; Modbus RTU needs 8"


def duration_ns(text: str) -> int:
    """`"500ms"` to nanoseconds. Units us, ms, s, m, h, d; a decimal fraction is allowed."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError('is not a duration such as "500ms", "2s", "1m", "1h" or "1d"')
    unit_ns = _DURATION_NS[match[3]]
    fraction = match[2] or ""
    return int(match[1]) * unit_ns + int(fraction or 0) * unit_ns // 10 ** len(fraction)


def show_duration(ns: int) -> str:
    """Nanoseconds in the largest unit that needs no fraction: `"90s"`, `"2m"`."""
    for unit, unit_ns in reversed(_DURATION_NS.items()):
        if ns and ns % unit_ns == 0:
            return f"{ns // unit_ns}{unit}"
    return "0s" if ns == 0 else f"{ns}ns"


def size_bytes(text: str) -> int:
    """`"512MiB"` to bytes. KB, MB, GB are powers of 1000; KiB, MiB, GiB of 1024."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError('is not a size such as "512MiB", "1GiB" or "1GB"')
    return int(match[1]) * _SIZE_BYTES[match[2]]


def show_size(count: int) -> str:
    """Bytes in the largest unit that leaves a whole one, for people; not for `size_bytes` to read."""
    left = float(count)
    for unit in ("B", "KiB", "MiB"):
        if left < 1024:
            return f"{left:.0f} {unit}"
        left /= 1024
    return f"{left:.1f} GiB"


def character_format(text: str) -> tuple[int, Parity, int]:
    """`"8N1"` to data bits, parity and stop bits, as Modbus RTU allows them."""
    data_bits, parity, stop_bits = any_character_format(text)
    if data_bits == 7:
        raise ValueError(SEVEN_BITS)
    return data_bits, parity, stop_bits


def any_character_format(text: str) -> tuple[int, Parity, int]:
    """`"7E1"` or `"8N1"` to data bits, parity and stop bits."""
    if len(text) != 3 or text[0] not in "78" or text[1] not in "NEO" or text[2] not in "12":
        raise ValueError('is not a character format such as "8N1", "8E1" or "8N2"')
    return int(text[0]), Parity(text[1]), int(text[2])


def unit_ids(text: str) -> tuple[int, ...]:
    """`"1-3,7"` to (1, 2, 3, 7): at most 256 of them, in the order given, none twice."""
    ids: list[int] = []
    for part in text.replace(" ", "").split(",")[:256]:
        match = _UNIT_RANGE.fullmatch(part)
        if match is None:
            raise ValueError('is not a list of unit ids such as "1-12" or "1-3,7"')
        first, last = int(match[1]), int(match[2] or match[1])
        if first > last:
            raise ValueError(f"has a range that runs backwards: {part}")
        ids.extend(range(first, last + 1))
    for unit_id in ids:
        if unit_id > 255:
            raise ValueError(f"unit id {unit_id} does not exist; the largest is 255")
        if ids.count(unit_id) > 1:
            raise ValueError(f"unit id {unit_id} is named twice")
    return tuple(ids)


def host_and_port(text: str, default_port: int) -> tuple[str, int]:
    """`"10.0.0.5:502"`, `"gateway"`, `"[::1]:502"` to host and port."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        well_formed = bool(bracket) and ":" in host and all(c in "0123456789abcdefABCDEF:." for c in host)
        port = rest[1:] if rest.startswith(":") else rest
        well_formed = well_formed and (not rest or (rest.startswith(":") and bool(port)))
    else:
        host, colon, port = text.partition(":")
        well_formed = _HOST.fullmatch(host) is not None and bool(port) == bool(colon)
    if not well_formed:
        raise ValueError('is not an address such as "10.0.0.5:502", "gateway.local" or "[::1]:502"')
    if not port:
        return host, default_port
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise ValueError("has a port that is not 1 to 65535")
    return host, int(port)


def show_host_and_port(host: str, port: int) -> str:
    """The inverse: an address with colons is put in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether a connection to `host` stays on this machine, as far as its text says."""
    octets = host.split(".")
    ipv4 = len(octets) == 4 and octets[0] == "127" and all(o.isascii() and o.isdecimal() for o in octets)
    return ipv4 or host.lower() in ("localhost", "::1")


def show(value: object, limit: int = 60) -> str:
    """A value as it could stand in the file, shortened, without any control character."""
    match value:
        case bool():
            text = "true" if value else "false"
        case str():
            text = f'"{value}"'
        case list() | tuple():
            text = (
                "[" + ", ".join(show(item) for item in value[:8]) + (", ..." if len(value) > 8 else "") + "]"
            )
        case dict():
            keys = list(value)
            text = "{" + ", ".join(str(key) for key in keys[:8]) + (", ..." if len(keys) > 8 else "") + "}"
        case int() if value.bit_length() > 128:
            text = "a huge number"
        case _:
            text = str(value)
    text = printable(text)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def printable(text: str) -> str:
    """`text` with control characters escaped: a file must not be able to drive a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
