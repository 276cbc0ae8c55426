"""What `edge-agent spool` says, as plain data and as lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from edge_agent.cli import _json, _view
from edge_agent.config.values import show_size
from edge_agent.errors import RecordError
from edge_agent.records.decode import Decoder

if TYPE_CHECKING:
    from edge_agent.receiver.continuity import Source
    from edge_agent.spool.survey import Survey


def stock(look: Survey) -> dict[str, Any]:
    """What is on the disk, without reading more than the newest segments."""
    states = look.acknowledged()
    streams = {}
    for stream, state in states.items():
        oldest = min((s.made_ns for s in state.segments if s.made_ns), default=None)
        streams[stream] = {
            "segments": len(state.segments),
            "bytes": sum(segment.size for segment in state.segments),
            "stored": sum(s.last - s.first + 1 for s in state.stored()),
            "unsent": sum(s.last - s.first + 1 for s in state.unacked()),
            "since": None if oldest is None else oldest / 1e9,
        }
    return {
        "path": str(look.root),
        "streams": streams,
        "dictionaries": len(look.births()),
        "undeclared_losses": look.undeclared(),
        "quarantined": look.quarantined(),
    }


def stopped(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"{found['path']}, from the disk"
    rows = [("STREAM", "SEGMENTS", "SIZE", "STORED", "UNSENT", "SINCE")]
    for stream, one in found["streams"].items():
        since = "-" if one["since"] is None else _view.clock(one["since"])
        numbers = str(one["stored"]), str(one["unsent"])
        rows.append((stream, str(one["segments"]), show_size(one["bytes"]), *numbers, since))
    yield from _view.table(rows)
    yield f"dictionaries {found['dictionaries']}  undeclared losses {found['undeclared_losses']}" + (
        f"  quarantined {found['quarantined']}" if found["quarantined"] else ""
    )


def running(known: Mapping[str, Any]) -> Iterator[str]:
    """From the agent's own snapshot."""
    where = "MEMORY ONLY" if known["memory_only"] else "on disk"
    yield f"the running agent's, {where}: {show_size(known['bytes_used'])} of {show_size(known['max_bytes'])}"
    kept, free = show_size(known["kept_bytes"]), show_size(known["free_bytes"])
    yield f"of them sent and kept {kept}, free files {free}"
    yield from _view.table([("STREAM", "UNSENT"), *((s, str(n)) for s, n in known["unacked"].items())])
    if known["problem"]:
        yield f"! {known['problem']}"


def verified(found: Mapping[str, Any]) -> Iterator[str]:
    for one in found["damage"]:
        yield f"{one['file']}: {one['offset']}: {one['what']}"
    whole = ", ".join(f"{stream} {count}" for stream, count in found["records"].items())
    yield f"{found['path']}: whole records: {whole}"
    if found["quarantined"]:
        yield f"{found['quarantined']} files are in quarantine/: they could not be understood"
    damages = len(found["damage"])
    yield "no damage" if not damages else f"{damages} places are damaged; the agent declares what they held"


def lines(look: Survey, records: Iterable[bytes]) -> Iterator[bytes]:
    """As `edge-agent receive --json` prints them."""
    from edge_agent.receiver.objects import objects

    decoder = Decoder()
    for birth in look.births():
        for part in birth.records:
            decoder.decode(part)
    source = _source(look, decoder)
    for data in records:
        try:
            record = decoder.decode(data)
        except RecordError as error:
            yield _json.dumps({"kind": "unreadable", "why": str(error)}).encode() + b"\n"
            continue
        for one in objects(source, record):
            yield _json.dumps(one).encode() + b"\n"


def _source(look: Survey, decoder: Decoder) -> Source:
    """Whose spool it is, by its dictionaries."""
    from edge_agent.receiver.continuity import Source

    for birth in reversed(look.births()):
        if (known := decoder.dictionary(birth.dict_hash)) is not None:
            return Source(known.site, known.agent)
    return Source("", "")
