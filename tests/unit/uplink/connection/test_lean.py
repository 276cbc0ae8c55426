"""The daemon and its MQTT library without what is imported for nothing."""

from __future__ import annotations

import subprocess
import sys

from edge_agent.uplink.connection.lean import on_demand

_LOADED = """
import sys
import edge_agent.uplink.connection.mqtt
print(sorted({name.split('.')[0] for name in sys.modules} & {'http', 'email', 'tempfile'}))
"""
_USED = """
import edge_agent.uplink.connection.mqtt
from paho.mqtt import client
import urllib
print(callable(urllib.request.getproxies))
import urllib.request
print(urllib.request.Request('http://localhost/a').selector)
client.Client(client.CallbackAPIVersion.VERSION2)._get_proxy()
"""
_DAEMON = """
import sys
from edge_agent import cli
cli.main(["run", "--config", "/nonexistent"])
import edge_agent.daemon.agent
from edge_agent.uplink.connection import address, dial
print(dial._dial(address.parse("mqtt://localhost:1"), address.Login(), 1.0).cause)
unwanted = {"shutil", "lzma", "bz2", "encodings.idna", "systemd", "subprocess", "decimal"}
print(sorted(unwanted & set(sys.modules)))
"""


def _said(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def test_the_uplink_does_not_load_http_and_email() -> None:
    assert _said(_LOADED) == "[]\n"


def test_the_daemon_does_not_load_what_it_can_do_without() -> None:
    assert _said(_DAEMON) == "unreachable\n[]\n"


def test_who_does_use_it_finds_it() -> None:
    assert _said(_USED).split() == ["True", "/a"]


def test_what_is_loaded_already_stays() -> None:
    before = sys.modules["json.decoder"]
    with on_demand("json.decoder"):
        assert sys.modules["json.decoder"] is before


def test_a_use_within_loads_it_too() -> None:
    program = """
from edge_agent.uplink.connection.lean import on_demand
with on_demand("json.tool"):
    import json.tool
    print(callable(json.tool.main))
"""
    assert _said(program) == "True\n"
