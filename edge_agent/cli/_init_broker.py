"""Names and broker of `edge-agent init`: where records go, and whether it lets us in. Shell."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from edge_agent.cli._init_task import Given
from edge_agent.clock import Clock
from edge_agent.commissioning import checks, files
from edge_agent.commissioning.reach import Reached, reach
from edge_agent.commissioning.terminal import Person, checked, told
from edge_agent.commissioning.toml_text import harmless
from edge_agent.config import identity
from edge_agent.daemon import status
from edge_agent.daemon.sockets import NoAgent
from edge_agent.errors import EdgeAgentError
from edge_agent.model import UplinkDef
from edge_agent.uplink.topics import client_id

_LOCAL = "mqtt://127.0.0.1:1883"


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    site: str
    agent: str
    """Empty: the default of this machine."""
    shown: str
    """The agent's id as it will be."""


def names(given: Given, person: Person) -> Names:
    site = given.site or person.ask("Site", checks.topic_level, option="--site")
    try:
        default = identity.of_this_machine()
    except ValueError:
        default = ""
    agent = given.agent or person.ask("Agent id", checks.topic_level, default=default, option="--id")
    # Not written where it is the default: the disk may be cloned, and two agents must not have one id.
    return Names(site=site, agent="" if agent == default else agent, shown=agent)


def uplink(given: Given, person: Person) -> tuple[UplinkDef, str]:
    """The broker, and the password that was typed."""
    # Without a person no broker is guessed: records would go nowhere.
    local = _LOCAL if person.is_there else ""
    url = given.broker or person.ask("Broker", checks.url, default=local, option="--broker")
    insecure = given.insecure and checks.needs_insecure(url)
    if checks.needs_insecure(url) and not insecure:
        told(person, "Everybody on the way may read and change what is sent, the password too.")
        if not person.agree("Use it without encryption?", default=False):
            return uplink(_without_broker(given), person)
        insecure = True
    tls = _tls(given, url, person)
    username, password_file, password = _login(given, person)
    for path in (*tls.values(), given.password_file):
        _warn_if_hidden(path, given, person)
    made = UplinkDef(
        url=url,
        username=username,
        password_file=password_file,
        ca=tls["ca"],
        cert=tls["cert"],
        key=tls["key"],
        insecure=insecure,
    )
    return made, password


def _client_id(name: Names, socket: Path) -> str:
    """The agent's own, by which a broker may know it; beside a running agent another one, or the broker would
    hang up on that."""
    own = client_id(name.site, name.shown)
    try:
        status.fetch(socket)
    except NoAgent as error:
        return f"{own}-init" if error.is_there else own
    return f"{own}-init"


def _without_broker(given: Given) -> Given:
    return replace(given, broker="")


def _tls(given: Given, url: str, person: Person) -> dict[str, str]:
    if not url.startswith("mqtts://"):
        return dict.fromkeys(given.tls, "")
    if any(given.tls.values()) or not person.is_there:
        return given.tls
    ca = person.ask("CA certificates, a file (- for the system's)", _file_or_none, default="-", option="--ca")
    cert = person.ask("Our certificate, a file (- for none)", _file_or_none, default="-", option="--cert")
    key = person.ask("Its private key, a file", _file, option="--key") if cert else ""
    return {"ca": ca, "cert": cert, "key": key}


def _file_or_none(text: str) -> str:
    return "" if text == "-" else _file(text)


def _file(text: str) -> str:
    path = str(checks.file_path(text))
    try:
        Path(path).open("rb").close()
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    return path


def _warn_if_hidden(path: str, given: Given, person: Person) -> None:
    """What root alone may read reaches the service from one folder only."""
    keys = files.password_path(given.config).parent
    if not path or Path(path).parent == keys:
        return
    try:
        readable = Path(path).stat().st_mode & 0o044
    except OSError as error:
        told(person, f"warning: {path}: {error.strerror}")
        return
    if not readable:
        told(
            person, f"warning: the service may not read {path}; put it into {keys}, where it may stay root's"
        )


def _login(given: Given, person: Person) -> tuple[str, str, str]:
    """(user, password file, password typed)"""
    username = given.username
    if not username and person.is_there:
        answer = person.ask("User name (- for none)", checks.user_name, default="-", option="--user")
        username = "" if answer == "-" else answer
    if not username:
        return "", "", ""
    if given.password_file:
        return username, checked("--password-file", _file, given.password_file), ""
    password = person.secret("Password (not shown)")
    return username, str(files.password_path(given.config)) if password else "", password


def try_it(
    uplink: UplinkDef, name: Names, password: str, person: Person, socket: Path, clock: Clock
) -> Reached:
    """Says what the broker said; asks whether to go on where it said no."""
    person.say(f"Connecting to {uplink.url} ...")
    reached = reach(uplink, _client_id(name, socket), clock, password=password)
    if reached.failure is None:
        person.say(f"  It lets us in (MQTT {reached.protocol}).")
        return reached
    told(person, f"warning: {harmless(str(reached.failure), 400)}")
    told(person, "The agent tries again by itself; records wait on the disk until then.")
    if not person.agree("Go on all the same?", default=True):
        raise EdgeAgentError("no configuration was written or changed")
    return reached
