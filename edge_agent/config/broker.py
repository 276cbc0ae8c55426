"""Rules of `[uplink]`: which broker addresses and which security are accepted together.

Pure. Plain MQTT beyond loopback sends passwords and data readable by everybody on the way, so it
has to be asked for by name.
"""

from __future__ import annotations

from edge_agent.config import values
from edge_agent.config.schema import Place
from edge_agent.config.tree import Values
from edge_agent.model import NS, UplinkDef

PORTS = {"mqtt": 1883, "mqtts": 8883}


def parse_url(url: str) -> tuple[str, str, int]:
    """`"mqtts://broker:8883"` to scheme, host and port; ValueError with a message for people."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in PORTS:
        raise ValueError("must begin with mqtt:// or mqtts://")
    if "@" in rest:
        raise ValueError("must not contain a user or password")
    rest = rest.removesuffix("/")
    if any(mark in rest for mark in "/?#"):
        raise ValueError("must end after host and port")
    return scheme, *values.host_and_port(rest, PORTS[scheme])


_URL_HINTS = {
    "must begin": "for example mqtts://broker.example:8883; WebSockets are not supported",
    "must not contain": "write username and password_file",
    "must end": "topics are not configurable: ea1/<site>/<agent>/...",
}


def build(place: Place, given: Values) -> UplinkDef | None:
    """The uplink, or None when something about it is in the report."""
    url = given["url"]
    if url is not None:
        _check_url(place, url, insecure=given["insecure"])
    if given["key"] and not given["cert"]:
        (place / "key").refuse("needs cert beside it")
    if given["cert"] and not given["key"]:
        (place / "cert").refuse("needs key beside it")
    if given["password_file"] and not given["username"]:
        (place / "password_file").refuse("needs username beside it")
    if url is not None and not url.startswith("mqtts://"):
        for name in ("ca", "cert", "key"):
            if given[name]:
                (place / name).refuse("is for mqtts:// only", "change url to mqtts://, or leave it out")
    if place.report.is_flawed(place.path):
        return None
    return UplinkDef(
        url=url,
        username=given["username"] or "",
        password_file=given["password_file"] or "",
        ca=given["ca"] or "",
        cert=given["cert"] or "",
        key=given["key"] or "",
        protocol=given["protocol"],
        insecure=given["insecure"],
        keepalive_s=given["keepalive"] // NS,
        client_id=given["client_id"] or "",
        backlog_rate=given["backlog_rate"],
        ack=given["ack"],
    )


def _check_url(place: Place, url: str, *, insecure: bool) -> None:
    here = place / "url"
    try:
        scheme, host, _ = parse_url(url)
    except ValueError as error:
        hint = next((text for start, text in _URL_HINTS.items() if str(error).startswith(start)), "")
        # A password in the URL must not be repeated in a message that ends up in a log.
        here.refuse(str(error), hint, *(() if "@" in url else (url,)))
        return
    if scheme == "mqtt" and not values.is_loopback(host) and not insecure:
        here.refuse(
            "is plain MQTT to another machine",
            "use mqtts://, or say insecure = true if everybody on the way may read and change the data",
            url,
        )
