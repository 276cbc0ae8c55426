"""Bytes of a sample on the wire, with MQTT header and topic, against what else is used; and the speed.

Our samples go through the agent's own writer: envelope, dictionary hash, body of the smallest kind, at most
16 KiB a record, topic as published. Batches: 1 s is `[samples] batch` left out (one commit interval), 10 s
and 60 s are what a site says that sends samples and counts bytes; one that sends summaries has a row of its
own. Every encoder's messages are decoded again and compared before anything is counted. Speed is of the
meter's batches of 10 s.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from _common import Row, medians, publish, take_turns, time_ns
from _record_peers import PEERS, Messages, Peer, chimp_bits, gorilla_bits, packet_bytes
from _record_signals import CLASSES, T0_NS, Class, Recording, meter_day, of_class
from _record_windows import WINDOW_S, bytes_per_summary

from edge_agent import kernels
from edge_agent.counters import Counters
from edge_agent.kernels import Kernels
from edge_agent.model import NS, MonoNs, WallNs
from edge_agent.process.results import Sample
from edge_agent.records import codec, columns
from edge_agent.records.bodies import Samples
from edge_agent.records.envelope import Envelope
from edge_agent.records.values import EncodedRecord, Item, Kind, Recovery, Stamp
from edge_agent.records.writer import RecordWriter
from edge_agent.uplink.topics import Topics

BATCHES_S = (1, 10, 60)
CLASS_S = 120
EVERY_MINUTE = 10
ROUNDS = 5
PLAIN_ROWS = 580
"""Of a record of kind 3, which has to hold the longest rows."""
BUDGET_S = 60
"""The batch that the budgets are for: what a site takes that sends samples and counts bytes."""
XOR_VALUES = 1500


def main() -> int:
    native = kernels.load("native")
    rows: list[Row] = []
    for kind in CLASSES:
        rows += _sizes(kind.name, of_class(kind, CLASS_S), kind.budget, native)
    day = meter_day(EVERY_MINUTE)
    rows += _sizes("a day of a meter", day, "", native)
    rows += [_against_xor(kind, native) for kind in CLASSES if "f" in str(kind.type)]
    rows.append(_windows(day, native))
    rows += _speeds(day, native)
    return publish("records", rows)


# --- sizes ----------------------------------------------------------------------------------------


def _sizes(name: str, recording: Recording, budget: str, by: Kernels) -> Iterator[Row]:
    points = recording.site.points
    topic = Topics(recording.site.site, recording.site.agent).data("sample")
    for seconds in BATCHES_S:
        batches = list(recording.batches(seconds))
        records = _records(recording, batches, by)
        count = len(recording.samples)
        peers = {
            peer: sum(_checked_bytes(one, batch, points) for batch in batches) / count
            for peer, one in PEERS.items()
        }
        plain = sum(packet_bytes(topic, data) for data in _plain_records(batches))
        with_alias = sum(packet_bytes(topic, data, alias=True) for data in records)
        yield Row(
            claim=f"{name}, batches of {seconds} s",
            value=sum(packet_bytes(topic, data) for data in records) / count,
            unit="B/value",
            peers={"with a topic alias": with_alias / count, "plain rows (kind 3)": plain / count} | peers,
            budget=budget if seconds == BUDGET_S else "",
        )


def _records(recording: Recording, batches: Sequence[Sequence[Sample]], by: Kernels) -> list[bytes]:
    """The records of all batches by the agent's writer, decoded again and compared."""
    site = replace(recording.site, batch_ns=0)
    writer = RecordWriter(site, b"benchmar", boot_id="0" * 32, counters=Counters(), by=by)
    start = Stamp(WallNs(T0_NS - NS), MonoNs(1), True)
    writer.start(start, Recovery())
    found: list[bytes] = []
    for batch in batches:
        now = Stamp(batch[-1].wall_ns, batch[-1].mono_ns, True)
        mine = [*_data(writer.add(batch, now)), *_data(writer.flush(now, now.wall_ns))]
        back = [row for data in mine for row in _rows(data, by)]
        if back != [(s.point, s.wall_ns, s.value) for s in batch]:
            raise SystemExit("a record does not give back what went into it")
        found += mine
    return found


def _plain_records(batches: Sequence[Sequence[Sample]]) -> Iterator[bytes]:
    for batch in batches:
        for at in range(0, len(batch), PLAIN_ROWS):
            rows = batch[at : at + PLAIN_ROWS]
            head = Envelope(
                kind=Kind.SAMPLES,
                epoch=b"benchmar",
                stream="sample",
                seq=9,
                dict_hash=b"dictiona",
                t0=_t0(rows),
            )
            yield codec.encode(head, _body(rows))


def _t0(batch: Sequence[Sample]) -> Stamp:
    return Stamp(batch[0].wall_ns, batch[0].mono_ns, True)


def _body(batch: Sequence[Sample]) -> Samples:
    first = batch[0].mono_ns
    return Samples(
        until_ns=batch[-1].wall_ns,
        offsets_us=tuple((s.mono_ns - first) // 1000 for s in batch),
        aliases=tuple(s.point for s in batch),
        values=tuple(s.value for s in batch),
        qualities=tuple(int(s.quality) for s in batch),
    )


def _data(items: Sequence[Item]) -> Iterator[bytes]:
    return (item.data for item in items if isinstance(item, EncodedRecord) and item.stream == "sample")


def _rows(data: bytes, by: Kernels) -> Iterator[tuple[int, int, object]]:
    head, body = codec.decode(data, by)
    assert isinstance(body, Samples)
    for alias, offset, value in zip(body.aliases, body.offsets_us, body.values, strict=True):
        yield alias, head.t0.wall_ns + offset * 1000, value


def _checked_bytes(peer: Peer, batch: Sequence[Sample], points: Sequence[object]) -> int:
    messages: Messages = peer.encode(batch, points)  # type: ignore[arg-type]
    if [value for _, _, value in peer.decode(messages)] != [sample.value for sample in batch]:
        raise SystemExit("a peer does not give back what went into it")
    return sum(packet_bytes(topic, payload) for topic, payload in messages)


def _against_xor(kind: Class, by: Kernels) -> Row:
    """One point, no times, no envelope: the coding of floats alone."""
    point = [s for s in of_class(kind, XOR_VALUES).samples if s.point == 0]
    values = [s.value for s in point]
    floats = [float(value) for value in values if isinstance(value, float)]
    width = 32 if kind.type == "f32" else 64
    body = Samples(
        until_ns=WallNs(0),
        offsets_us=(0,) * len(values),
        aliases=(0,) * len(values),
        values=tuple(values),
        qualities=(0,) * len(values),
    )
    packed = columns.encode_samples(body, Stamp(WallNs(0), MonoNs(0), True), by)
    size = len(packed) if packed is not None else float("nan")
    return Row(
        claim=f"{kind.name}: values of one point alone",
        value=8 * size / len(values),
        unit="bits/value",
        peers={
            "Gorilla": gorilla_bits(floats, width) / len(values),
            "Chimp": chimp_bits(floats, width) / len(values),
        },
    )


def _windows(day: Recording, by: Kernels) -> Row:
    sizes = bytes_per_summary(day, by)
    ours = sizes.pop("kind 10")
    return Row(
        claim=f"summaries of the meter, windows of {WINDOW_S} s", value=ours, unit="B/summary", peers=sizes
    )


# --- speed ----------------------------------------------------------------------------------------


def _speeds(day: Recording, native: Kernels) -> Iterator[Row]:
    batches = [batch for batch in day.batches(10) if len(batch) > 100][:40]
    count = sum(map(len, batches))
    encoders: dict[str, Callable[[], object]] = {}
    decoders: dict[str, Callable[[], object]] = {}
    for name, by in (("ours", native), ("ours, plain Python", columns.plain())):
        records = _records(day, batches, native)
        encoders[name] = _encoder(batches, by)
        decoders[name] = _decoder(records, by)
    for name, peer in PEERS.items():
        messages = [peer.encode(batch, day.site.points) for batch in batches]
        encoders[name] = _peer_encoder(peer, batches, day)
        decoders[name] = _peer_decoder(peer, messages)
    for what, contenders in (("encoding", encoders), ("decoding", decoders)):
        timed = {name: (lambda action=action: time_ns(action, 1)) for name, action in contenders.items()}
        speeds = {name: count / ns * 1e9 for name, ns in medians(take_turns(timed, ROUNDS)).items()}
        ours = speeds.pop("ours")
        yield Row(claim=f"{what} the meter's samples", value=ours, unit="values/s", peers=speeds)


def _encoder(batches: Sequence[Sequence[Sample]], by: Kernels) -> Callable[[], object]:
    return lambda: [codec.smallest(_body(batch), _t0(batch), by) for batch in batches]


def _decoder(records: Sequence[bytes], by: Kernels) -> Callable[[], object]:
    return lambda: [list(_rows(data, by)) for data in records]


def _peer_encoder(peer: Peer, batches: Sequence[Sequence[Sample]], day: Recording) -> Callable[[], object]:
    points = day.site.points
    return lambda: [peer.encode(batch, points) for batch in batches]


def _peer_decoder(peer: Peer, messages: Sequence[Messages]) -> Callable[[], object]:
    return lambda: [peer.decode(one) for one in messages]


if __name__ == "__main__":
    sys.exit(main())
