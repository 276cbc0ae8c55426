"""The same samples as other systems send them: lossless, each value with its point and time.

Each encoder returns the (topic, payload) of its MQTT messages; each decoder gives back (point, time,
value). Names are short and separators left out where a format allows it; topics are such as the format's
users choose. Times are microseconds, as ours are; Sparkplug's are milliseconds, its own.
"""

from __future__ import annotations

import gzip
import json
import math
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import msgpack
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from edge_agent.model import PointDef
from edge_agent.process.results import Sample, Value

Messages = list[tuple[str, bytes]]
Decoded = list[tuple[str, int, Value]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    encode: Callable[[Sequence[Sample], Sequence[PointDef]], Messages]
    decode: Callable[[Messages], Decoded]
    lossless_times: bool = True


def packet_bytes(topic: str, payload: bytes, *, alias: bool = False) -> int:
    """An MQTT 5 PUBLISH with QoS 1: fixed header, topic, packet id, properties, payload. With a topic alias
    the topic is empty and a property of three bytes stands for it."""
    remaining = 2 + (0 if alias else len(topic.encode())) + 2 + 1 + (3 if alias else 0) + len(payload)
    length_bytes = 1 + (remaining > 127) + (remaining > 16383) + (remaining > 2097151)
    return 1 + length_bytes + remaining


# --- JSON and msgpack -----------------------------------------------------------------------------


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _json_each(samples: Sequence[Sample], points: Sequence[PointDef]) -> Messages:
    return [
        (f"plant-a/press-hall-1/{points[s.point].device}/{points[s.point].name}",
         _json({"t": s.wall_ns // 1000, "v": s.value, "q": int(s.quality)}))
        for s in samples
    ]  # fmt: skip


def _json_each_back(messages: Messages) -> Decoded:
    return [
        (topic.rsplit("/", 1)[1], one["t"], one["v"])
        for topic, payload in messages
        for one in (json.loads(payload),)
    ]


def _maps(samples: Sequence[Sample], points: Sequence[PointDef]) -> list[dict[str, Any]]:
    return [
        {"p": points[s.point].name, "t": s.wall_ns // 1000, "v": s.value, "q": int(s.quality)}
        for s in samples
    ]


def _from_maps(maps: Iterable[Mapping[str, Any]]) -> Decoded:
    return [(one["p"], one["t"], one["v"]) for one in maps]


_BATCH_TOPIC = "plant-a/press-hall-1/data"
_JSON_BATCH = Peer(
    encode=lambda samples, points: [(_BATCH_TOPIC, _json(_maps(samples, points)))],
    decode=lambda messages: _from_maps(json.loads(messages[0][1])),
)
_JSON_BATCH_GZIP = Peer(
    encode=lambda samples, points: [(_BATCH_TOPIC, gzip.compress(_json(_maps(samples, points)), 6))],
    decode=lambda messages: _from_maps(json.loads(gzip.decompress(messages[0][1]))),
)
_MSGPACK = Peer(
    encode=lambda samples, points: [(_BATCH_TOPIC, msgpack.packb(_maps(samples, points)))],
    decode=lambda messages: _from_maps(msgpack.unpackb(messages[0][1])),
)


# --- InfluxDB line protocol -------------------------------------------------------------------------


def _lines(samples: Sequence[Sample], points: Sequence[PointDef]) -> Messages:
    """A line holds what was read at one time of one device; integers have an `i` behind them."""
    lines = []
    for (device, wall_ns), group in groupby(samples, lambda s: (points[s.point].device, s.wall_ns)):
        fields = ",".join(
            f"{points[s.point].name}={s.value!r}{'i' if type(s.value) is int else ''}" for s in group
        )
        lines.append(f"{device},agent=press-hall-1 {fields} {wall_ns // 1000}")
    return [(_BATCH_TOPIC, gzip.compress("\n".join(lines).encode(), 6))]


def _lines_back(messages: Messages) -> Decoded:
    found: Decoded = []
    for line in gzip.decompress(messages[0][1]).decode().splitlines():
        _, fields, time = line.split(" ")
        for field in fields.split(","):
            name, value = field.split("=")
            found.append((name, int(time), int(value[:-1]) if value[-1] == "i" else float(value)))
    return found


# --- Sparkplug B ------------------------------------------------------------------------------------

_T = descriptor_pb2.FieldDescriptorProto
# Of org.eclipse.tahu.protobuf (sparkplug_b.proto), what DDATA with aliases uses: name, number, type.
_METRIC = (
    ("name", 1, _T.TYPE_STRING), ("alias", 2, _T.TYPE_UINT64), ("timestamp", 3, _T.TYPE_UINT64),
    ("datatype", 4, _T.TYPE_UINT32), ("is_null", 7, _T.TYPE_BOOL), ("int_value", 10, _T.TYPE_UINT32),
    ("long_value", 11, _T.TYPE_UINT64), ("float_value", 12, _T.TYPE_FLOAT),
    ("double_value", 13, _T.TYPE_DOUBLE), ("boolean_value", 14, _T.TYPE_BOOL),
    ("string_value", 15, _T.TYPE_STRING),
)  # fmt: skip
_ONE_OF = frozenset(name for name, number, _ in _METRIC if number >= 10)


def _payload_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="sparkplug_b.proto", package="org.eclipse.tahu.protobuf")
    payload = file.message_type.add(name="Payload")
    metric = payload.nested_type.add(name="Metric")
    metric.oneof_decl.add(name="value")
    for name, number, kind in _METRIC:
        field = metric.field.add(name=name, number=number, type=kind, label=_T.LABEL_OPTIONAL)
        if name in _ONE_OF:
            field.oneof_index = 0
    for name, number, kind in (("timestamp", 1, _T.TYPE_UINT64), ("seq", 3, _T.TYPE_UINT64)):
        payload.field.add(name=name, number=number, type=kind, label=_T.LABEL_OPTIONAL)
    payload.field.add(
        name="metrics", number=2, type=_T.TYPE_MESSAGE, label=_T.LABEL_REPEATED,
        type_name=".org.eclipse.tahu.protobuf.Payload.Metric",
    )  # fmt: skip
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("org.eclipse.tahu.protobuf.Payload"))


Payload = _payload_class()


def _sparkplug(samples: Sequence[Sample], points: Sequence[PointDef]) -> Messages:
    payload = Payload(timestamp=samples[-1].wall_ns // 1_000_000, seq=7)
    for sample in samples:
        metric = payload.metrics.add(alias=sample.point, timestamp=sample.wall_ns // 1_000_000)
        # The datatype is in the birth certificate and may be left out here.
        if type(sample.value) is int:
            metric.int_value = sample.value
        elif points[sample.point].type == "f32":
            metric.float_value = sample.value
        else:
            metric.double_value = sample.value
    topic = f"spBv1.0/plant-a/DDATA/press-hall-1/{points[0].device}"
    return [(topic, payload.SerializeToString())]


def _sparkplug_back(messages: Messages) -> Decoded:
    payload = Payload.FromString(messages[0][1])
    return [(str(m.alias), m.timestamp, getattr(m, m.WhichOneof("value"))) for m in payload.metrics]


PEERS = {
    "JSON a sample": Peer(encode=_json_each, decode=_json_each_back),
    "JSON batch": _JSON_BATCH,
    "JSON batch, gzip": _JSON_BATCH_GZIP,
    "msgpack maps": _MSGPACK,
    "Sparkplug B": Peer(encode=_sparkplug, decode=_sparkplug_back, lossless_times=False),
    "line protocol, gzip": Peer(encode=_lines, decode=_lines_back),
}


# --- XOR coders of floats, by the bits they need ----------------------------------------------------


def gorilla_bits(values: Sequence[float], width: int) -> int:
    """Pelkonen et al., VLDB 2015, section 4.1.2: values only, after the first."""
    total, leading, trailing = width, -1, 0
    for one, before in _pairs(values, width):
        xor = one ^ before
        if not xor:
            total += 1
            continue
        zeros, behind = min(31, width - xor.bit_length()), (xor & -xor).bit_length() - 1
        if leading >= 0 and zeros >= leading and behind >= trailing:
            total += 2 + width - leading - trailing
        else:
            leading, trailing = zeros, behind
            total += 2 + 5 + int(math.log2(width)) + width - zeros - behind
    return total


_ROUNDED = (0, 8, 12, 16, 18, 20, 22, 24)


def chimp_bits(values: Sequence[float], width: int) -> int:
    """Liakos et al., VLDB 2022, algorithm 1 (without the 128 values before): values only."""
    total, leading = width, -1
    for one, before in _pairs(values, width):
        xor = one ^ before
        if not xor:
            total, leading = total + 2, -1
            continue
        zeros = max(rounded for rounded in _ROUNDED if rounded <= width - xor.bit_length())
        behind = (xor & -xor).bit_length() - 1
        if behind > 6:
            total, leading = total + 2 + 3 + int(math.log2(width)) + width - zeros - behind, -1
        elif zeros == leading:
            total += 2 + width - zeros
        else:
            total, leading = total + 2 + 3 + width - zeros, zeros
    return total


def _pairs(values: Sequence[float], width: int) -> Iterator[tuple[int, int]]:
    forms = (">f", ">I") if width == 32 else (">d", ">Q")
    bits = [struct.unpack(forms[1], struct.pack(forms[0], value))[0] for value in values]
    return zip(bits[1:], bits, strict=False)
