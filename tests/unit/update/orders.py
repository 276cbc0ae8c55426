"""An update as it is ordered, for tests to change."""

from __future__ import annotations

import hashlib
from typing import Any

from edge_agent.update.health import Look
from edge_agent.update.machine import Package, Update

OLD_FILE, NEW_FILE = b"the old package", b"the new package"
OLD = Package(version="1.0.0", sha256=hashlib.sha256(OLD_FILE).hexdigest())
NEW = Package(version="1.1.0", sha256=hashlib.sha256(NEW_FILE).hexdigest())
RAN = Look(
    active=True,
    version="1.0.0",
    kernels="native",
    devices=("meter", "press"),
    connected=True,
    made=700,
    acked=650,
)


def order(**changed: Any) -> Update:
    given: dict[str, Any] = {"new": NEW, "old": OLD, "before": RAN, "watch_s": 20.0, "begun_s": 1.7e9}
    return Update(**{**given, **changed})
