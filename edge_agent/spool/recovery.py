"""What an earlier run left behind: segments found, damage set aside, how far it came.

Nothing here stops a start. State comes from names and contents: the header of every segment and the
whole of the newest one of each stream are read; older ones are checked when they are delivered or
given up. A file that cannot be understood goes to quarantine/, which is bounded.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edge_agent.model import WallNs
from edge_agent.records.values import ALARM, AUDIT, EVENT, SAMPLE, STREAMS, SUMMARY, Kind, Recovery
from edge_agent.spool import checkpoints
from edge_agent.spool import segment as seg
from edge_agent.spool.files import Files, Node
from edge_agent.spool.segment import HEADER_BYTES, Scan
from edge_agent.spool.state import Segment

QUARANTINE_FILES = 16
MAX_FILE_BYTES = 64 << 20
"""Far more than any file of a spool has; larger ones (sparse, perhaps) are not brought into memory."""
_PAGE = 4096


@dataclass(slots=True)
class Found:
    """One stream as it was found."""

    segments: list[Segment] = field(default_factory=list)
    """Oldest first."""
    newest: Scan = field(default_factory=Scan)
    epoch: bytes = b""
    """The last run that a whole record is stored of; empty where there is none."""
    facts: Scan = field(default_factory=Scan)
    """What there is of that run's newest segment."""
    quarantined: int = 0

    def has(self, epoch: bytes) -> bool:
        """Whether there is a file of a run, whatever is in it."""
        return any(segment.identity.epoch == epoch for segment in self.segments)

    @property
    def tail(self) -> int:
        """The first position that nothing was ever stored at."""
        if not self.segments:
            return 1
        return self.segments[-1].identity.base + self.newest.end_seq + 1


def find_stream(files: Files, folder: Path, stream: str, quarantine: Path) -> Found:
    """Take stock of one stream's folder."""
    found = Found()
    by_position: dict[int, Segment] = {}
    for name in files.list_dir(folder):
        path = folder / name
        segment = look(files, path, stream)
        if segment is not None and segment.gone:
            with contextlib.suppress(OSError):
                files.empty(path)
        if segment is None:
            found.quarantined += set_aside(files, path, quarantine)
            continue
        first = segment.identity.first_position
        if (other := by_position.get(first)) is not None:
            segment, drop = _better(files, segment, other)
            found.quarantined += set_aside(files, drop.path, quarantine)
        by_position[first] = segment
    found.segments = [by_position[first] for first in sorted(by_position)]
    for segment in reversed(found.segments):
        scan, is_whole = _scanned(files, segment)
        if segment is found.segments[-1]:
            found.newest = segment.index = scan
        # A run that ended before its first record was durable is none: the one before it is the last. Where
        # the disk does not give back all, nobody can know that there was none.
        if scan.seqs or not is_whole or segment.gone or segment.identity.first_seq > 1:
            found.epoch, found.facts = segment.identity.epoch, scan
            break
    return found


def _scanned(files: Files, segment: Segment) -> tuple[Scan, bool]:
    """What is in a file, and whether all of it could be read."""
    data, is_whole = _read(files, segment.path, segment.size)
    header = seg.decode_header(data)
    scan = seg.scan(data, segment.identity)
    scan.until_ns = scan.until_ns or (header.until_ns if header else 0)
    return scan, is_whole


def make_durable(files: Files, streams: Mapping[str, Found]) -> None:
    """What a killed run had handed to the system and not synced. The START of this run will say that it is
    there, so a power cut must not take it any more."""
    for found in streams.values():
        if found.segments and not found.segments[-1].gone:
            files.sync_path(found.segments[-1].path)
            files.sync_dir(found.segments[-1].path.parent)


def recover(streams: dict[str, Found]) -> Recovery:
    """The facts for the next run's START.

    `certain` takes the last `until` written, not the largest: after the wall clock was set back, the
    largest would claim time that was not observed. Streams without any `until` were not in use; a
    stream in use has one from the beginning of its epoch, because it opens with an empty record. Of one that
    has a file and no `until`, nothing whole is left: then all its run observed is uncertain.
    """
    epoch = b""
    # START is durable before anything else of its epoch, so `event` knows best.
    for stream in (EVENT, ALARM, AUDIT, SUMMARY, SAMPLE):
        if epoch := streams[stream].epoch:
            break
    if not epoch:
        return Recovery()
    of_epoch = {stream: found.facts for stream, found in streams.items() if found.epoch == epoch}
    certain = {stream: WallNs(scan.until_ns) for stream, scan in of_epoch.items() if scan.until_ns}
    ruined = [s for s in (SAMPLE, SUMMARY) if s not in certain and streams[s].has(epoch)]
    if ruined and (began := _began(streams.values(), epoch)):
        certain |= dict.fromkeys(ruined, began)
    last = of_epoch[EVENT].last if EVENT in of_epoch else None
    return Recovery(
        epoch=epoch,
        last={stream: of_epoch[stream].end_seq if stream in of_epoch else 0 for stream in streams},
        certain=certain,
        certain_until=min(certain.values(), default=None),
        clean=last is not None and last.kind == Kind.STOP,
    )


def _began(streams: Iterable[Found], epoch: bytes) -> WallNs:
    """The earliest time that is known of a run, 0 if none is: that of its START, where that is whole."""
    times: list[int] = []
    for found in streams:
        times += [segment.made_ns for segment in found.segments if segment.identity.epoch == epoch]
        times += [found.facts.t0_ns, found.facts.until_ns] if found.epoch == epoch else []
    return WallNs(min(filter(None, times), default=0))


def read_salvaging(files: Files, path: Path, size: int) -> bytes:
    """A whole file; pages the device cannot read come as zeros. FileNotFoundError if it is gone."""
    return _read(files, path, size)[0]


def _read(files: Files, path: Path, size: int) -> tuple[bytes, bool]:
    """As `read_salvaging`, and whether no page is missing."""
    try:
        return files.read(path), True
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno != errno.EIO:
            raise
    pages, is_whole = [], True
    for at in range(0, size, _PAGE):
        try:
            pages.append(files.read(path, at, _PAGE))
        except OSError:
            pages.append(bytes(_PAGE))
            is_whole = False
    return b"".join(pages), is_whole


def set_aside(files: Files, path: Path, quarantine: Path) -> int:
    """Move a file, or whatever stands under its name, out of the way; 1 if it is gone from its place.
    Files in quarantine give way to it; directories hold what is not ours to remove."""
    try:
        files.make_dirs(quarantine)
        names = files.list_dir(quarantine)
        for name in list(names):
            if len(names) >= QUARANTINE_FILES and files.node(quarantine / name) is not Node.FOLDER:
                files.unlink(quarantine / name)
                names.remove(name)
        if len(names) >= QUARANTINE_FILES:
            return 0
        files.rename(path, quarantine / f"{path.parent.name}-{path.name}")
    except OSError:
        # Read-only or full: it stays where it is and is passed over again next time.
        return 0
    return 1


def clear_way(files: Files, root: Path, quarantine: Path) -> int:
    """Set aside what stands where a file or folder of the spool belongs and is none; how many. Nothing
    of a spool in use is ever that, so this needs no lock."""
    folders, files_of_ours = (*STREAMS, "births", "free"), ("lock", "cursors", "losses", "orders")
    wanted = dict.fromkeys(folders, Node.FOLDER)
    wanted |= dict.fromkeys((*files_of_ours, *checkpoints.NAMES), Node.FILE)
    moved = 0
    for name, node in wanted.items():
        with contextlib.suppress(OSError):
            if files.node(root / name) not in (node, Node.NOTHING):
                moved += set_aside(files, root / name, quarantine)
    return moved


def look(files: Files, path: Path, stream: str) -> Segment | None:
    """The segment a file is, by its header or else by its name; None if it is none. Changes nothing."""
    if files.node(path) is not Node.FILE or (size := files.size(path)) > MAX_FILE_BYTES:
        return None
    named = seg.parse_name(stream, path.name)
    if path.suffix == ".gone" and named:
        return Segment(named, path, b"", 0, gone=True)
    try:
        data = files.read(path, 0, HEADER_BYTES)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        data = b""
    header = seg.decode_header(data)
    if header and header.identity.stream == stream:
        return Segment(header.identity, path, header.dict_hash, size, made_ns=header.made_ns)
    if header or named is None or seg.is_newer_format(data):
        return None
    return Segment(named, path, None, size)


def _better(files: Files, one: Segment, other: Segment) -> tuple[Segment, Segment]:
    """Of two files for one stretch, the one to keep first. A run that ended before its first record was
    durable leaves an empty file where the next run begins; a copy stands under a name not its own."""

    def worth(segment: Segment) -> tuple[int, bool]:
        data = read_salvaging(files, segment.path, segment.size)
        return len(seg.scan(data, segment.identity).seqs), segment.path.name == segment.identity.name

    return (one, other) if worth(one) > worth(other) else (other, one)
