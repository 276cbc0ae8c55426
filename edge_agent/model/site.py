"""A resolved site: what the rest of the agent is built from.

Profiles merged with the configuration, every default filled in, every reference checked; frozen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, StrEnum

from edge_agent.model.vocabulary import NS, Area, Order, PointType, Send, Severity

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
    resolution: float = 0.0
    """Filtered samples are rounded to multiples of it; 0: they are not rounded."""
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


class Framing(StrEnum):
    """How messages are told apart in a stream of bytes."""

    RTU = "rtu"
    ASCII = "ascii"


class Parity(Enum):
    NONE = "N"
    EVEN = "E"
    ODD = "O"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rs485:
    """How the driver is to turn an RS-485 transceiver round: RTS is its direction."""

    rts_on_send: bool = True
    """Level of RTS while sending; the other one while listening."""
    delay_before_send_ms: int = 0
    delay_after_send_ms: int = 0
    rx_during_tx: bool = False
    """The receiver stays on while sending: every request is heard as an echo."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialLink:
    """A serial port. `path` may be /dev/ttyUSB0 or, better, a /dev/serial/by-id link."""

    path: str
    baud: int = 19200
    data_bits: int = 8
    parity: Parity = Parity.NONE
    stop_bits: int = 1
    rs485: Rs485 | None = None
    """None: the driver's own setting is left as it is."""
    framing: Framing = Framing.RTU


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpLink:
    """A Modbus TCP server, or a gateway to RTU devices."""

    host: str
    port: int = 502


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceServerLink(TcpLink):
    """A serial device server: it carries the bytes of a serial line over TCP, unchanged."""

    framing: Framing = Framing.RTU
    baud: int | None = None
    """Of the line behind it; None: not said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsLink(TcpLink):
    """Modbus/TCP Security: Modbus TCP in TLS. Paths of PEM files; empty: none."""

    port: int = 802
    ca: str
    """Whose certificates are accepted, and no others."""
    cert: str = ""
    key: str = ""
    server_name: str = ""
    """What the device's certificate is made out to; empty: the host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BusDef:
    name: str
    link: SerialLink | TcpLink
    """A TcpLink may be one of its kinds: DeviceServerLink, TlsLink."""
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
    ack: str = "broker"
    """Who must have a record before the spool may forget it: `broker`, or `receiver` (dn/ack)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolDef:
    path: str = "/var/lib/edge-agent/spool"
    max_bytes: int = 512 << 20
    min_free_bytes: int = 64 << 20
    commit_ns: int = NS
    keep_bytes: int = 64 << 20
    """For records that are acknowledged already, so that they can be asked for again."""
    max_age_ns: int = 0
    """Unacknowledged records older than this are given up; 0: never."""


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
    batch_ns: int = 0
    """How long samples are collected before their record is made; 0: for one commit interval."""
    source: str = ""
    """The file it came from, for messages."""
    config_hash: str = ""
    """SHA-256 (hex) of the file's bytes."""
    checkpoint_ns: int = 60 * NS
    """How often open windows are stored, where they are longer than this."""

    @property
    def keeps_windows(self) -> bool:
        """Whether open windows outlive their run."""
        has_windows = any(point.send is Send.SUMMARY for point in self.points)
        return has_windows and self.window_ns > self.checkpoint_ns

    @property
    def devices(self) -> tuple[DeviceDef, ...]:
        return tuple(device for bus in self.buses for device in bus.devices)

    @property
    def points(self) -> tuple[PointDef, ...]:
        """Every point, in the order of buses, devices and points: its place is its index."""
        return tuple(point for device in self.devices for point in device.points)
