"""Bytes of a summary on the wire: windows of the meter's samples, as kind 10, as kind 4 and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from statistics import fmean, pstdev

from _record_peers import packet_bytes
from _record_signals import Recording

from edge_agent.kernels import Kernels
from edge_agent.model import NS, WallNs
from edge_agent.process.results import Sample
from edge_agent.records import codec, envelope
from edge_agent.records.bodies import Summaries
from edge_agent.records.envelope import Envelope
from edge_agent.records.values import Kind, Stamp
from edge_agent.uplink.topics import Topics

WINDOW_S = 10


def bytes_per_summary(recording: Recording, by: Kernels) -> dict[str, float]:
    """By encoding; points that are polled more than once a window."""
    topic = Topics(recording.site.site, recording.site.agent).data("summary")
    names = [point.name for point in recording.site.points]
    sums = {"kind 10": 0, "kind 4": 0, "JSON batch": 0}
    count = 0
    for batch in recording.batches(WINDOW_S):
        body = _summaries(batch)
        t0 = Stamp(batch[0].wall_ns, batch[0].mono_ns, True)
        count += len(body.aliases)
        for name, (kind, packed) in {
            "kind 10": codec.smallest(body, t0, by),
            "kind 4": (Kind.SUMMARY, body.encode(t0)),
        }.items():
            sums[name] += packet_bytes(topic, envelope.encode(_head(kind, t0), packed))
        sums["JSON batch"] += packet_bytes("plant-a/press-hall-1/summary", _json(body, names))
    return {name: total / count for name, total in sums.items()}


def _head(kind: Kind, t0: Stamp) -> Envelope:
    return Envelope(kind=kind, epoch=b"benchmar", stream="summary", seq=9, dict_hash=b"dictiona", t0=t0)


def _summaries(batch: Sequence[Sample]) -> Summaries:
    values: dict[int, list[float]] = {}
    for sample in batch:
        values.setdefault(sample.point, []).append(float(sample.value))  # type: ignore[arg-type]
    rows = {point: found for point, found in sorted(values.items()) if len(found) > 1}
    return Summaries(
        until_ns=WallNs(batch[0].wall_ns + WINDOW_S * NS),
        length_ns=WINDOW_S * NS,
        aliases=tuple(rows),
        counts=tuple(map(len, rows.values())),
        bads=(0,) * len(rows),
        missings=(0,) * len(rows),
        mins=tuple(map(min, rows.values())),
        maxs=tuple(map(max, rows.values())),
        means=tuple(map(fmean, rows.values())),
        stds=tuple(map(pstdev, rows.values())),
        firsts=tuple(found[0] for found in rows.values()),
        lasts=tuple(found[-1] for found in rows.values()),
        qualities=(0,) * len(rows),
    )


def _json(body: Summaries, names: Sequence[str]) -> bytes:
    return json.dumps(
        {"t": body.until_ns // 1000, "points": list(_maps(body, names))}, separators=(",", ":")
    ).encode()


def _maps(body: Summaries, names: Sequence[str]) -> Iterator[dict[str, object]]:
    spreads = zip(body.mins, body.maxs, body.means, body.stds, body.firsts, body.lasts, strict=True)
    for alias, count, spread in zip(body.aliases, body.counts, spreads, strict=True):
        low, high, mean, std, first, last = spread
        yield {
            "p": names[alias], "n": count, "min": low, "max": high, "mean": mean, "std": std,
            "first": first, "last": last,
        }  # fmt: skip
