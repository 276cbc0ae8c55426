"""A broker for the demo on a free loopback port: mosquitto if it is installed, else amqtt from PyPI."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from edge_agent.errors import EdgeAgentError

_MOSQUITTO = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
"""
_AMQTT = """\
listeners:
  default:
    type: tcp
    bind: 127.0.0.1:{port}
plugins:
  amqtt.plugins.authentication.AnonymousAuthPlugin:
    allow_anonymous: true
"""


@dataclass(frozen=True, slots=True)
class Broker:
    name: str
    """What to tell the person."""
    command: tuple[str, ...]
    port: int
    protocol: str
    """What agent and receiver are told to speak. amqtt does not refuse MQTT 5, it misreads it and stays
    silent, so nobody could fall back by himself."""

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"


def choose(folder: Path) -> Broker:
    """Write a configuration into `folder` and return the command that serves it."""
    port = _free_port()
    # Debian installs mosquitto in /usr/sbin, which is not on an ordinary user's PATH.
    if mosquitto := shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin"):
        configuration = folder / "mosquitto.conf"
        configuration.write_text(_MOSQUITTO.format(port=port))
        return Broker("mosquitto", (mosquitto, "-c", str(configuration)), port, "auto")
    if importlib.util.find_spec("amqtt") is not None:
        configuration = folder / "amqtt.yaml"
        configuration.write_text(_AMQTT.format(port=port))
        amqtt = str(Path(sys.executable).with_name("amqtt"))
        name = "amqtt (mosquitto is not installed; amqtt speaks only MQTT 3.1.1)"
        return Broker(name, (amqtt, "-c", str(configuration)), port, "3.1.1")
    raise EdgeAgentError(
        "no MQTT broker for the demo\n    hint: apt install mosquitto, or pip install 'edge-agent[demo]'"
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
