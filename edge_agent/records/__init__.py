"""Records: what the agent says, as numbered msgpack messages of at most 16 KiB.

    results -> writer.py -> bodies.py / events.py -> envelope.py -> EncodedRecord -> spool
                  |                                      |
             dictionary.py                            pack.py (the door to msgpack)

decode.py goes the other way, for receivers. docs/record-format.md is the format's specification; its
examples are tested. Nothing here reads a clock, opens a file or knows how records are stored or sent.

What is exported here is for programs that receive records: a `Decoder` and what it returns. docs/receiver.md
shows how; the names stay, within a version of the format.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_agent.errors import RecordError
    from edge_agent.model import Quality
    from edge_agent.records.bodies import Alarm
    from edge_agent.records.codec import Opaque
    from edge_agent.records.decode import (
        Decoder,
        Record,
        SampleRow,
        SampleRows,
        SummaryRow,
        SummaryRows,
        Unresolved,
    )
    from edge_agent.records.dictionary import AlarmEntry, Dictionary, PointEntry
    from edge_agent.records.envelope import Envelope
    from edge_agent.records.events import Audit, Birth, ClockSet, Gap, Start, Stop
    from edge_agent.records.values import Kind, Loss, LossReason, Recovery, Stamp

__all__ = [
    "Alarm",
    "AlarmEntry",
    "Audit",
    "Birth",
    "ClockSet",
    "Decoder",
    "Dictionary",
    "Envelope",
    "Gap",
    "Kind",
    "Loss",
    "LossReason",
    "Opaque",
    "PointEntry",
    "Quality",
    "Record",
    "RecordError",
    "Recovery",
    "SampleRow",
    "SampleRows",
    "Stamp",
    "Start",
    "Stop",
    "SummaryRow",
    "SummaryRows",
    "Unresolved",
]

_PLACES = {
    "edge_agent.errors": "RecordError",
    "edge_agent.model": "Quality",
    "edge_agent.records.bodies": "Alarm",
    "edge_agent.records.codec": "Opaque",
    "edge_agent.records.decode": "Decoder Record SampleRow SampleRows SummaryRow SummaryRows Unresolved",
    "edge_agent.records.dictionary": "AlarmEntry Dictionary PointEntry",
    "edge_agent.records.envelope": "Envelope",
    "edge_agent.records.events": "Audit Birth ClockSet Gap Start Stop",
    "edge_agent.records.values": "Kind Loss LossReason Recovery Stamp",
}
_MODULES = {name: module for module, names in _PLACES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Loaded when it is asked for: the agent, which only writes records, does without."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
