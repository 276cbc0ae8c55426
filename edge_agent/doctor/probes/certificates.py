"""Looks at the certificates, keys and passwords that a configuration names. Keys are tried, never shown."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

from edge_agent.doctor.certificates import File, Pair
from edge_agent.doctor.probes import files, x509
from edge_agent.model import Site, TlsLink

_MOST_BYTES = 1 << 20


def named(site: Site) -> list[tuple[str, str, str]]:
    """(owner, key of the configuration, path) of each file."""
    found = [("uplink", key, getattr(site.uplink, key)) for key in ("ca", "cert", "key", "password_file")]
    for bus in site.buses:
        if isinstance(bus.link, TlsLink):
            found += [(bus.name, key, getattr(bus.link, key)) for key in ("ca", "cert", "key")]
    return [one for one in found if one[2]]


def look(owner: str, key: str, path: str) -> File:
    seen = files.look(path)
    file = File(owner=owner, key=key, look=seen)
    if seen.hidden_by or seen.is_missing or key not in ("ca", "cert"):
        return file
    if not files.may_read(path):
        return File(owner=owner, key=key, look=seen, unread="you may not read what is in it")
    if not x509.is_there():
        return File(owner=owner, key=key, look=seen, unread=f"how long it is valid: {x509.MISSING}")
    try:
        with Path(path).open("rb") as opened:
            found = x509.of_pem(opened.read(_MOST_BYTES))
    except (OSError, ValueError) as error:
        return File(owner=owner, key=key, look=seen, error=f"is no certificate: {error}")
    return File(owner=owner, key=key, look=seen, certificates=found)


def pairs(site: Site) -> Iterator[Pair]:
    links = [("uplink", site.uplink.cert, site.uplink.key)]
    links += [(bus.name, bus.link.cert, bus.link.key) for bus in site.buses if isinstance(bus.link, TlsLink)]
    for owner, cert, key in links:
        if cert and key and Path(cert).exists():
            yield _pair(owner, cert, key)


def _pair(owner: str, cert: str, key: str) -> Pair:
    hidden = [path for path in (cert, key) if not files.may_read(path)]
    if hidden:
        return Pair(owner=owner, cert=cert, key=key, unread=f"you may not read {', '.join(hidden)}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        # The password callback keeps OpenSSL from asking on the terminal for an encrypted key.
        context.load_cert_chain(cert, key, password=lambda: "")
    except OSError as error:
        if "KEY_VALUES_MISMATCH" in str(error):
            return Pair(owner=owner, cert=cert, key=key, error=f"key {key} does not belong to cert {cert}")
        words = getattr(error, "reason", None) or error.strerror or "not PEM, or the key is encrypted"
        return Pair(owner=owner, cert=cert, key=key, error=f"cert {cert} and key {key}: {words}")
    return Pair(owner=owner, cert=cert, key=key)
