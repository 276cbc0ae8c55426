"""Small configurations as text, for tests of starts."""

from __future__ import annotations

from pathlib import Path

from edge_agent.profiles import packaged

SOUND = """
[agent]
site = "hall"
id = "gateway"
[bus.line]
serial = "/dev/ttyUSB0"
baud = 19200
[device.press]
bus = "line"
unit_id = 2
[device.press.point.pressure]
area = "holding"
address = 100
type = "u16"
poll = "1s"
[uplink]
url = "mqtt://127.0.0.1:1883"
"""
BROKEN = SOUND.replace("baud = 19200", 'baud = "fast"')


def own_profile(folder: Path) -> Path:
    """A profile `acme/meter` below `folder`."""
    path = folder / "acme" / "meter.toml"
    path.parent.mkdir(parents=True)
    text = (packaged() / "eastron" / "sdm120.toml").read_text()
    path.write_text(text.replace("eastron/sdm120", "acme/meter"))
    return path
