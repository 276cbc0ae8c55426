"""The default agent id: host name and six hex digits of the machine id.

The machine id itself must stay private (machine-id(5)), so only a hash of it is shown.
"""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path

MACHINE_ID = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))


def agent_id(host: str, machine_id: str) -> str:
    """`"gateway-3fa2c1"`; what MQTT topics do not allow in a level becomes `-`."""
    digits = hashlib.sha256(machine_id.strip().encode()).hexdigest()[:6]
    first = host.split(".")[0][:50]
    level = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in first)
    return f"{level or 'host'}-{digits}"


def of_this_machine() -> str:
    """The id of the machine this runs on; ValueError where it has no machine id."""
    for path in MACHINE_ID:
        try:
            machine_id = path.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            continue
        if machine_id and machine_id != "uninitialized":
            return agent_id(socket.gethostname(), machine_id)
    raise ValueError("this machine has no /etc/machine-id to make a default from")
