"""The vocabulary every layer shares: areas, types, qualities, and a resolved site.

Owns the names of the field (unit, point, area, quality, alarm) and the frozen values that a loaded
configuration becomes. Knows no file, no socket, no clock. A `Site` is what the rest of the agent is
built from: profiles merged with the configuration, every default filled in, every reference checked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import NewType

MonoNs = NewType("MonoNs", int)
"""Nanoseconds of CLOCK_MONOTONIC: the only time that schedules anything."""
WallNs = NewType("WallNs", int)
"""Nanoseconds since 1970-01-01T00:00:00Z as the host believes; may jump, so it only labels."""

NS = 1_000_000_000


class Area(StrEnum):
    """The four Modbus data areas; each implies its read function code."""

    COIL = "coil"
    DISCRETE = "discrete"
    INPUT = "input"
    HOLDING = "holding"

    @property
    def function(self) -> int:
        """The function code that reads this area (Modbus Application Protocol V1.1b3, 6.1-6.4)."""
        return _READ_FUNCTION[self]

    @property
    def is_bits(self) -> bool:
        return self in (Area.COIL, Area.DISCRETE)

    @property
    def max_count(self) -> int:
        """Most items one request may ask for: 2000 bits or 125 words."""
        return 2000 if self.is_bits else 125


_READ_FUNCTION = {Area.COIL: 1, Area.DISCRETE: 2, Area.HOLDING: 3, Area.INPUT: 4}


class PointType(StrEnum):
    BOOL = "bool"
    U16 = "u16"
    S16 = "s16"
    U32 = "u32"
    S32 = "s32"
    U64 = "u64"
    S64 = "s64"
    F32 = "f32"
    F64 = "f64"
    BCD16 = "bcd16"
    BCD32 = "bcd32"
    STRING = "string"

    @property
    def words(self) -> int:
        """Registers one value occupies; 0 for a string, whose length is the point's own."""
        return _WORDS[self]

    @property
    def is_float(self) -> bool:
        return self in (PointType.F32, PointType.F64)


_WORDS = {
    PointType.BOOL: 1, PointType.U16: 1, PointType.S16: 1, PointType.BCD16: 1,
    PointType.U32: 2, PointType.S32: 2, PointType.F32: 2, PointType.BCD32: 2,
    PointType.U64: 4, PointType.S64: 4, PointType.F64: 4, PointType.STRING: 0,
}  # fmt: skip


class Order(StrEnum):
    """Byte order of a value as the letters of its bytes, most significant first, on the wire.

    `abcd` is the standard's order; `cdab` sends the low word first; `badc` swaps the bytes of each
    word; `dcba` does both. 64-bit values follow the same rule over four words.
    """

    ABCD = "abcd"
    CDAB = "cdab"
    BADC = "badc"
    DCBA = "dcba"

    @property
    def low_word_first(self) -> bool:
        return self in (Order.CDAB, Order.DCBA)

    @property
    def bytes_swapped(self) -> bool:
        return self in (Order.BADC, Order.DCBA)


class Quality(int):
    """One byte: 0 good, 1-63 uncertain, 64-127 bad, 128-255 bad with a Modbus exception code.

    Ordered so that a larger number is a worse quality: the worst of a window is its maximum.
    """

    __slots__ = ()

    @property
    def is_bad(self) -> bool:
        return self >= 64

    @property
    def label(self) -> str:
        """The word the receiver prints: `good`, `no_reply`, `exception_2`, ..."""
        if self > 128:
            return f"exception_{self - 128}"
        return _QUALITY_LABELS.get(int(self), f"quality_{int(self)}")

    @classmethod
    def exception(cls, code: int) -> Quality:
        """The quality of a point whose device answered with exception `code` (1 to 255)."""
        return cls(128 + min(code, 127))


GOOD = Quality(0)
STALE = Quality(1)
IMPLAUSIBLE = Quality(2)
CLOCK = Quality(3)
NO_REPLY = Quality(64)
BAD_FRAME = Quality(65)
PORT_DOWN = Quality(66)
INVALID = Quality(67)
DISABLED = Quality(68)

_QUALITY_LABELS = {
    0: "good", 1: "stale", 2: "implausible", 3: "clock",
    64: "no_reply", 65: "bad_frame", 66: "port_down", 67: "invalid", 68: "disabled",
}  # fmt: skip


class Send(StrEnum):
    """What a point sends: window summaries, every sample, or only changes."""

    SUMMARY = "summary"
    SAMPLES = "samples"
    CHANGES = "changes"


def send_mode(wanted: Send, type: PointType, poll_ns: int, window_ns: int) -> Send:
    """How a point really sends: text has no minimum and no mean, so it sends changes; and a window of at
    most one value says less than the value, so a point that is read no oftener sends samples."""
    if wanted is not Send.SUMMARY:
        return wanted
    if type is PointType.STRING:
        return Send.CHANGES
    return Send.SAMPLES if poll_ns >= window_ns else Send.SUMMARY


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


# --- filters ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Median:
    """Despike: the median of the last `samples` good values."""

    samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lowpass:
    """First order low pass with time constant `tau_ns`, stepped by the actual time between samples."""

    tau_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadband:
    """Holds its output until the input has moved by more than `width` (in the point's unit)."""

    width: float


Filter = Median | Lowpass | Deadband


# --- alarms -----------------------------------------------------------------------------------


class AlarmKind(StrEnum):
    ABOVE = "above"
    BELOW = "below"
    OUTSIDE = "outside"
    RATE_ABOVE = "rate_above"
    EQUALS = "equals"


class AlarmInput(StrEnum):
    RAW = "raw"
    FILTERED = "filtered"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmDef:
    """One alarm on one point. `low`/`high` are in the point's unit (per second for `rate_above`)."""

    name: str
    device: str
    point: str
    kind: AlarmKind
    low: float
    """`below`: the limit; `outside`: the lower limit; `equals`: the value; otherwise unused (0)."""
    high: float
    """`above`, `rate_above`: the limit; `outside`: the upper limit; otherwise unused (0)."""
    input: AlarmInput = AlarmInput.FILTERED
    deadband: float = 0.0
    on_delay_ns: int = 0
    off_delay_ns: int = 0
    severity: Severity = Severity.WARNING


# --- a resolved site --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """How a device differs from the standard when it is read (see docs/profiles.md)."""

    max_read_words: int = 125
    max_read_bits: int = 2000
    max_gap_words: int = 4
    max_gap_bits: int = 32
    forbidden: tuple[tuple[Area, int, int], ...] = ()
    """(area, first, last): addresses no request may touch."""
    barriers: tuple[tuple[Area, int], ...] = ()
    """(area, address): no request may contain both address - 1 and address."""
    read_whole: tuple[tuple[Area, int, int], ...] = ()
    """(area, start, count): read this block only as exactly this request."""
    read_alone: tuple[tuple[Area, int], ...] = ()
    """(area, address): the point here is never merged with others."""
    one_point_per_request: bool = False
    response_timeout_ns: int | None = None
    """Replaces the bus timeout for this device."""
    late_window_ns: int | None = None
    """How long after a timeout a reply may still arrive; None: twice the timeout."""
    turnaround_ns: int = 0
    """Least pause after this device's reply before it is asked again."""
    interframe_ns: int | None = None
    """Replaces the computed t3.5 before a request to this device."""
    on_illegal_address: str = "split"
    """`split`: a merged read that is refused is halved; `stop`: it is never asked again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointDef:
    """One point of one device with everything resolved. Immutable; its hash keys filter state."""

    device: str
    name: str
    title: str = ""
    area: Area
    address: int
    """Wire address, zero-based."""
    type: PointType
    order: Order = Order.ABCD
    length_words: int = 0
    """For `string` only: registers it occupies."""
    bits: tuple[int, int] | None = None
    """(lowest bit, count): slice of the unsigned register value."""
    scale: float = 1.0
    offset: float = 0.0
    unit: str = ""
    invalid: tuple[int, ...] = ()
    """Raw values (unsigned, as wide as the type) that mean "no value"."""
    plausible: tuple[float, float] | None = None
    enum: tuple[tuple[int, str], ...] = ()
    flags: tuple[tuple[int, str], ...] = ()
    poll_ns: int
    """Planned period; 0 means `continuous`: whenever the line has time left."""
    group: str = ""
    """Points of one group of a device come from one request."""
    filters: tuple[Filter, ...] = ()
    send: Send = Send.SUMMARY

    @property
    def key(self) -> str:
        """`device.point`, unique in a site."""
        return f"{self.device}.{self.name}"

    @property
    def words(self) -> int:
        """Registers (or bits, for coils and discrete inputs) this point occupies."""
        return self.length_words if self.type is PointType.STRING else self.type.words


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceDef:
    name: str
    bus: str
    unit_id: int
    profile: str = ""
    profile_revision: int = 0
    quirks: Quirks = field(default_factory=Quirks)
    points: tuple[PointDef, ...] = ()


class Parity(Enum):
    NONE = "N"
    EVEN = "E"
    ODD = "O"


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialLink:
    """A serial port. `path` may be /dev/ttyUSB0 or, better, a /dev/serial/by-id link."""

    path: str
    baud: int = 19200
    data_bits: int = 8
    parity: Parity = Parity.NONE
    stop_bits: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpLink:
    """A Modbus TCP server, or a gateway to RTU devices."""

    host: str
    port: int = 502


@dataclass(frozen=True, slots=True, kw_only=True)
class BusDef:
    name: str
    link: SerialLink | TcpLink
    timeout_ns: int = 500_000_000
    """End of the request to the first byte of the reply; adapts downward."""
    max_load: float = 0.9
    """Share of the line's time the agent may use."""
    retries: int = 1
    interframe_ns: int | None = None
    """Replaces t3.5 on this bus; None: computed from the baud rate."""
    devices: tuple[DeviceDef, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UplinkDef:
    url: str
    username: str = ""
    password_file: str = ""
    ca: str = ""
    cert: str = ""
    key: str = ""
    protocol: str = "auto"
    """`auto`: MQTT 5, 3.1.1 only after an explicit refusal; `5` or `3.1.1`: only that."""
    insecure: bool = False
    """Allows plain MQTT beyond loopback."""
    keepalive_s: int = 30
    client_id: str = ""
    """Empty: `ea1-<site>-<agent>`."""
    backlog_rate: int = 200
    """Most backlog records a second beside the live data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolDef:
    path: str = "/var/lib/edge-agent/spool"
    max_bytes: int = 512 << 20
    min_free_bytes: int = 64 << 20
    commit_ns: int = NS


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A whole configuration, resolved and checked: what the agent runs."""

    site: str
    agent: str
    buses: tuple[BusDef, ...]
    alarms: tuple[AlarmDef, ...]
    window_ns: int
    uplink: UplinkDef
    spool: SpoolDef
    source: str = ""
    """The file it came from, for messages."""
    config_hash: str = ""
    """SHA-256 (hex) of the file's bytes."""

    @property
    def devices(self) -> tuple[DeviceDef, ...]:
        return tuple(device for bus in self.buses for device in bus.devices)

    @property
    def points(self) -> tuple[PointDef, ...]:
        """Every point, in the order of buses, devices and points: its place is its index."""
        return tuple(point for device in self.devices for point in device.points)
