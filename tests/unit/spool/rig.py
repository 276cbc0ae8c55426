"""A spool on fake files, and a receiver's ledger that says whether anything is unaccounted for."""

from __future__ import annotations

from pathlib import Path

from edge_agent.counters import Counters
from edge_agent.model import MonoNs, WallNs
from edge_agent.records import codec
from edge_agent.records.envelope import Envelope
from edge_agent.records.events import Gap
from edge_agent.records.values import EncodedRecord, Kind, Loss, Stamp
from edge_agent.spool import Limits, Spool
from edge_agent.spool import segment as seg
from edge_agent.spool.fake_files import FakeFiles
from edge_agent.spool.files import Files

ROOT = Path("/spool")
T0 = 1_700_000_000_000_000_000


def epoch(number: int) -> bytes:
    return b"epoch" + number.to_bytes(3)


def open_spool(files: Files | None = None, number: int = 1, path: Path = ROOT, **limits: int) -> Spool:
    return Spool(
        path, epoch(number), limits=Limits(**{"min_free_bytes": 0, **limits}), counters=Counters(),
        files=files or FakeFiles(),
    )  # fmt: skip


def record(
    seq: int, stream: str = "sample", *, number: int = 1, size: int = 100, kind: int = 0,
    dictionary: bytes = b"", declares: Loss | None = None,
) -> EncodedRecord:  # fmt: skip
    kinds = {"sample": Kind.SAMPLES, "summary": Kind.SUMMARY, "alarm": Kind.ALARM, "event": Kind.GAP,
             "audit": Kind.AUDIT}  # fmt: skip
    data = f"{number}/{stream}/{seq}/".encode().ljust(size, b".")
    if declares:
        head = Envelope(
            kind=Kind.GAP, epoch=epoch(number), stream=stream, seq=seq, dict_hash=b"",
            t0=Stamp(WallNs(T0), MonoNs(0), True),
        )  # fmt: skip
        data = codec.encode(head, Gap(loss=declares))
    return EncodedRecord(
        stream=stream, seq=seq, epoch=epoch(number), kind=kind or kinds[stream], dict_hash=dictionary,
        t0_ns=WallNs(T0 + seq), until_ns=WallNs(T0 + seq if stream in ("sample", "summary") else 0),
        data=data, declares=declares,
    )  # fmt: skip


def content_end(files: FakeFiles, path: Path) -> int:
    """Where the last whole frame of a segment ends; zeros or older frames stand behind it."""
    identity = seg.parse_name(path.parent.name, path.name)
    assert identity is not None
    return seg.scan(files.read(path), identity).end


def commit(spool: Spool, seconds: int = 0) -> None:
    spool.commit(MonoNs(seconds * 1_000_000_000))


def drain(spool: Spool, stream: str, *, ack: bool = True) -> list[tuple[bytes, int]]:
    """Everything unacknowledged of a stream as (epoch, seq), read in small portions."""
    result: list[tuple[bytes, int]] = []
    position = 0
    while records := spool.read(stream, position, max_records=7, max_bytes=1000):
        for one in records:
            if one.data[:1] == b"\x98":
                assert codec.decode(one.data)[0].seq == one.seq
                continue
            text = one.data.rstrip(b".").split(b"/")
            assert (int(text[0]), text[1].decode(), int(text[2])) == (
                int.from_bytes(one.epoch[5:]), stream, one.seq,
            )  # fmt: skip
        result += [(one.epoch, one.seq) for one in records]
        position = records[-1].position + 1
        if ack:
            spool.ack(stream, [one.position for one in records])
    return result


def seqs(spool: Spool, stream: str = "sample", *, ack: bool = False) -> list[int]:
    return [seq for _, seq in drain(spool, stream, ack=ack)]


def lost(losses: list[Loss]) -> set[tuple[bytes, str, int]]:
    return {
        (loss.epoch, loss.stream, seq) for loss in losses for seq in range(loss.from_seq, loss.to_seq + 1)
    }
