"""edge-agent: from a serial line to the cloud.

    serial line -> bus/ -> process/ (kernels/) -> records/ -> spool/ -> uplink/ -> MQTT
                    ^          |  alarms                                   |
                 profiles/   config/                                  receiver/

bus/        reads devices: frames, plans, schedule, ports; every outcome is a value
process/    decodes, filters, judges: window summaries, alarm transitions, samples
records/    msgpack records in a numbered envelope; decoding for receivers
spool/      an append-only log that survives power cuts; every loss is declared
uplink/     MQTT 5, alarms first, live beside backlog
receiver/   the other end: proves that nothing is missing
daemon/     threads, wiring, shutdown order, status socket, systemd
"""

__version__ = "0.1.0"
