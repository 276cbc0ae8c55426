"""The small plant most whole-chain tests read: its devices for the simulator, and a configuration with the
places {line}, {url} and {spool}.

Counters, whose values are unique, come as samples; a wave as summaries; and a level raises an alarm every few
seconds.
"""

from __future__ import annotations

SITE = "e2e"
COMMIT_S = 0.5
WINDOW_S = 1.0

SCRIPT = """
[device.a]
unit_id = 1
[device.a.point]
n0 = { area = "holding", address = 0, type = "u32", signal = { counter = { start = 1000000 } } }
n1 = { area = "holding", address = 2, type = "u32", signal = { counter = { start = 2000000 } } }
n2 = { area = "input", address = 10, type = "u16", signal = { counter = { start = 3 } } }
[device.b]
unit_id = 2
[device.b.point]
n3 = { area = "holding", address = 0, type = "u32", order = "cdab", signal = { counter = { start = 4000000 } } }
level = { area = "holding", address = 100, type = "f32", signal = { constant = 5.0, noise = 0.5, event = { add = 10.0, every = "7s", lasts = "3s", first = "2s" } } }
flow = { area = "input", address = 100, type = "f32", signal = { load = { low = 10.0, high = 20.0 }, noise = 1.0 } }
"""  # noqa: E501

CONFIG = f"""
[agent]
site = "{SITE}"
id = "gateway"
[bus.line]
serial = "{{line}}"
baud = 115200
timeout = "300ms"
[device.a]
bus = "line"
unit_id = 1
send = "samples"
[device.a.point]
n0 = {{ area = "holding", address = 0, type = "u32", poll = "100ms" }}
n1 = {{ area = "holding", address = 2, type = "u32", poll = "100ms" }}
n2 = {{ area = "input", address = 10, type = "u16", poll = "200ms" }}
[device.b]
bus = "line"
unit_id = 2
[device.b.point]
n3 = {{ area = "holding", address = 0, type = "u32", order = "cdab", poll = "100ms", send = "samples" }}
level = {{ area = "holding", address = 100, type = "f32", poll = "100ms", send = "samples" }}
flow = {{ area = "input", address = 100, type = "f32", poll = "200ms" }}
[alarm.high]
point = "b.level"
above = 10.0
deadband = 1.0
input = "raw"
severity = "critical"
[summary]
window = "{WINDOW_S}s"
[uplink]
url = "{{url}}"
[spool]
path = "{{spool}}"
commit = "{COMMIT_S}s"
max_size = "4MiB"
min_free = "1MiB"
"""
