"""The two files the demo writes: what is simulated, and the configuration that reads it."""

from __future__ import annotations

from pathlib import Path

PORT = "ttySIM0"
SERVED = "served.jsonl"
SOCKET = "status.sock"
AGENT = "agent.toml"
SIMULATOR = "simulator.toml"
BAUD = 19200

_SIMULATOR = """\
# A plant on one RS-485 line: an energy meter, and a press whose pressure rises too high now and then.
[device.meter]
unit_id = 1
profile = "eastron/sdm630"

[device.press]
unit_id = 2

[device.press.point.pressure]
area    = "holding"
address = 100
type    = "f32"
unit    = "bar"

[device.press.point.pressure.signal]
load  = { low = 4.0, high = 6.0 }
noise = 0.1
event = { add = 5.0, every = "20s", lasts = "3s", first = "6s" }

[device.press.point.strokes]
area    = "holding"
address = 102
type    = "u32"
signal  = { counter = {} }         # one more at every read: each value is served once
"""

_AGENT = """\
# Written by `edge-agent demo`. Simulator and broker end with the demo: start your own to run it again.
[agent]
site = "demo"
id   = "press-hall-1"

[bus.line1]
serial = "{port}"
baud   = {baud}

[device.meter]
bus     = "line1"
unit_id = 1
profile = "eastron/sdm630"
periods = {{ fast = "1s", normal = "2s", slow = "10s" }}

[device.press]
bus     = "line1"
unit_id = 2
send    = "samples"                # every value; the meter sends summaries

[device.press.point.pressure]
area    = "holding"
address = 100
type    = "f32"
unit    = "bar"
poll    = "200ms"

[device.press.point.strokes]
area    = "holding"
address = 102
type    = "u32"
poll    = "200ms"

[alarm.overpressure]
point     = "press.pressure"
above     = 8.0
deadband  = 0.2
on_delay  = "500ms"
off_delay = "1s"
severity  = "critical"

[summary]
window = "5s"

[uplink]
url      = "{url}"
protocol = "{protocol}"

[spool]
path = "{spool}"
"""


def write(folder: Path, url: str, protocol: str) -> None:
    """Both files into `folder`; the configuration talks to the broker at `url`."""
    (folder / SIMULATOR).write_text(_SIMULATOR)
    places = {"port": folder / PORT, "baud": BAUD, "url": url, "protocol": protocol}
    (folder / AGENT).write_text(_AGENT.format(**places, spool=folder / "spool"))
