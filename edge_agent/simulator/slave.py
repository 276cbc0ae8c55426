"""The core: a request in, actions out. Pure but for the counts of its devices' registers.

Owns which device answers, what it answers, and what a fault does to that. Knows no port, no pace and
no clock: `now` comes in, and a reply is a list of (delay, bytes) that somebody else plays. Usable
as it is by tests that want a slave without a line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from random import Random

from edge_agent.errors import InputError, Problem
from edge_agent.model import NS, Area, MonoNs, WallNs
from edge_agent.simulator import wire
from edge_agent.simulator.device import Memory, SimDevice
from edge_agent.simulator.faults import Fault, FaultBook, FaultKind
from edge_agent.simulator.garble import at_half_speed, overlapped
from edge_agent.simulator.log import Answer, Entry, Happened, Served

_OTHER_FUNCTION = {1: 2, 2: 1, 3: 4, 4: 3}

_NOT_BY_TCP = {
    FaultKind.GLITCH_BEFORE, FaultKind.GLITCH_AFTER, FaultKind.ECHO, FaultKind.PARTIAL_ECHO, FaultKind.BABBLE,
    FaultKind.SECOND_DEVICE, FaultKind.SECOND_MASTER, FaultKind.WRONG_SPEED,
}  # fmt: skip
"""Faults of a wire; a TCP connection has none of them."""

_STRANGERS = (FaultKind.SECOND_DEVICE, FaultKind.SECOND_MASTER)
"""Faults by which others speak: all but what is sent first is theirs."""

_ANSWER = {
    FaultKind.SILENCE: Answer.NONE,
    FaultKind.BABBLE: Answer.NONE,
    FaultKind.BAD_CRC: Answer.BAD,
    FaultKind.WRONG_FUNCTION: Answer.BAD,
    FaultKind.WRONG_COUNT: Answer.BAD,
    FaultKind.WRONG_UNIT: Answer.BAD,
    FaultKind.SHORT: Answer.BAD,
    FaultKind.WRONG_SPEED: Answer.BAD,
}
"""What a fault makes of any reply; the other kinds leave it what it is."""


@dataclass(frozen=True, slots=True)
class Send:
    """Bytes to put on the line `delay_ns` after those before them ended, or after the request."""

    delay_ns: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    sends: tuple[Send, ...]
    """Empty: silence."""
    entry: Entry
    """For the log; its time is set when the last byte is out."""
    device: str
    fault: Fault | None = None
    noise_ns: int = 0
    """Noise instead of a reply, for so long."""
    strangers: tuple[Send, ...] = ()
    """What others say behind it: if they are spoken over, the reply was still heard."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request without its envelope, and how to put a reply into one."""

    unit_id: int
    pdu: bytes
    frame: Callable[[int, bytes], bytes]
    """Unit id and PDU to the bytes that go out."""
    echo: bytes
    """The request as it was on the wire; empty by TCP."""
    now: MonoNs
    wall: WallNs


class Slave:
    """All devices of one line. Called by the thread that serves the line; `faults` by any thread."""

    def __init__(self, devices: Iterable[SimDevice], *, start: MonoNs, seed: int = 1) -> None:
        self.devices = tuple(devices)
        self.start = start
        """Time 0 of the signals."""
        self.faults = FaultBook(seed)
        self.foreign = 0
        """Requests to units that are not here."""
        self._random = Random(seed + 1)
        _check_identities(self.devices)
        self._memories = {device.unit_id: Memory(device) for device in self.devices}

    def rtu(self, frame: bytes, now: MonoNs, wall: WallNs) -> Reply | None:
        """The reply to a whole frame with a good CRC; None where no device here is meant."""
        asked = _Asked(frame[0], frame[1:-2], wire.rtu_frame, frame, now, wall)
        return self._reply(asked, self._fault(frame[0], now))

    def tcp(self, request: wire.TcpRequest, now: MonoNs, wall: WallNs) -> Reply | None:
        fault = self._fault(request.unit_id, now)
        if fault and fault.kind in _NOT_BY_TCP:
            fault = None
        # Modbus TCP has no CRC: what comes nearest is a reply to another transaction.
        spoiled = fault is not None and fault.kind is FaultKind.BAD_CRC
        number = (request.transaction + 1) & 0xFFFF if spoiled else request.transaction
        frame = partial(wire.tcp_frame, number)
        return self._reply(_Asked(request.unit_id, request.pdu, frame, b"", now, wall), fault)

    def _fault(self, unit_id: int, now: MonoNs) -> Fault | None:
        memory = self._memories.get(unit_id)
        return self.faults.pick(memory.device.name, now) if memory else None

    def _reply(self, asked: _Asked, fault: Fault | None) -> Reply | None:
        memory = self._memories.get(asked.unit_id)
        if memory is None:
            self.foreign += 1
            return None
        pdu, entry = self._content(memory, asked, fault)
        device = memory.device.name
        if fault is None:
            return Reply(sends=(Send(0, asked.frame(asked.unit_id, pdu)),), entry=entry, device=device)
        sends = self._play(fault, self._spoil(fault, asked, pdu), asked.echo)
        noise_ns = fault.burst_ns if fault.kind is FaultKind.BABBLE else 0
        entry = _with_fault(entry, fault, sends)
        own = 1 if fault.kind in _STRANGERS else len(sends)
        return Reply(
            sends=sends[:own],
            entry=entry,
            device=device,
            fault=fault,
            noise_ns=noise_ns,
            strangers=sends[own:],
        )

    def _content(self, memory: Memory, asked: _Asked, fault: Fault | None) -> tuple[bytes, Entry]:
        """The PDU of the reply, and the entry for the log."""
        request = wire.parse_pdu(asked.pdu)
        function = asked.pdu[0] if asked.pdu else 0
        if isinstance(request, int):
            return wire.exception_pdu(function, request), _refused(memory.device, asked, request)
        no_value = fault is not None and fault.kind is FaultKind.NO_VALUE
        data = memory.read(request, (asked.now - self.start) / NS, no_value=no_value)
        if fault and fault.kind is FaultKind.EXCEPTION:
            data = fault.code
        entry = _served(memory.device, asked, request, data)
        if isinstance(data, int):
            return wire.exception_pdu(function, data), entry
        return wire.values_pdu(request.area, data), entry

    def _spoil(self, fault: Fault, asked: _Asked, pdu: bytes) -> bytes:
        """The one frame of the reply, with what the fault does to its bytes."""
        frame, unit_id, is_rtu = asked.frame, asked.unit_id, bool(asked.echo)
        match fault.kind:
            case FaultKind.WRONG_FUNCTION:
                pdu = bytes((_OTHER_FUNCTION.get(pdu[0] & 0x7F, 3) | pdu[0] & 0x80,)) + pdu[1:]
            case FaultKind.WRONG_COUNT:
                pdu = self._other_count(pdu)
            case FaultKind.WRONG_UNIT:
                unit_id = unit_id % 247 + 1
            case FaultKind.BAD_CRC if is_rtu:
                return self._flip_bit(frame(unit_id, pdu))
            case FaultKind.SHORT:
                whole = frame(unit_id, pdu)
                return whole[: self._random.randrange(1, len(whole))]
        return frame(unit_id, pdu)

    def _flip_bit(self, frame: bytes) -> bytes:
        """Any one bit: the CRC notices every one of them."""
        place = self._random.randrange(len(frame))
        return frame[:place] + bytes((frame[place] ^ 1 << self._random.randrange(8),)) + frame[place + 1 :]

    def _other_count(self, pdu: bytes) -> bytes:
        """A register (or eight bits) less, or more where there is only one or by chance."""
        item = 1 if pdu[0] in (1, 2) else 2
        data = pdu[2:]
        data = data[:-item] if len(data) > item and self._random.random() < 0.5 else data + bytes(item)
        return bytes((pdu[0], len(data))) + data

    def _play(self, fault: Fault, reply: bytes, echo: bytes) -> tuple[Send, ...]:
        """When and with what around it the frame goes out."""
        noise = self._random.randbytes(fault.bytes)
        match fault.kind:
            case FaultKind.SILENCE | FaultKind.BABBLE:
                return ()
            case FaultKind.LATE:
                return (Send(round(fault.timeout_ns * self._random.uniform(*fault.factor)), reply),)
            case FaultKind.GLITCH_BEFORE:
                return (Send(0, noise + reply),)
            case FaultKind.GLITCH_AFTER:
                return (Send(0, reply + noise),)
            case FaultKind.PAUSE:
                cut = self._random.randrange(1, len(reply))
                return Send(0, reply[:cut]), Send(fault.gap_ns, reply[cut:])
            case FaultKind.ECHO:
                return Send(0, echo), Send(0, reply)
            case FaultKind.PARTIAL_ECHO:
                length = self._random.randrange(3, len(echo))
                first = self._random.randrange(len(echo) - length + 1)
                return Send(0, echo[first : first + length]), Send(0, reply)
            case FaultKind.SECOND_DEVICE:
                return self._with_second_device(reply)
            case FaultKind.SECOND_MASTER:
                return Send(0, reply), *self._second_master(fault.gap_ns)
            case FaultKind.WRONG_SPEED:
                return (Send(0, at_half_speed(reply)),)
            case _:
                return (Send(0, reply),)

    def _with_second_device(self, reply: bytes) -> tuple[Send, ...]:
        """It has its own values and its own delay, up to once and a half the reply's length."""
        length = len(reply)
        second = wire.rtu_frame(reply[0], reply[1:3] + self._random.randbytes(length - 5))
        both = overlapped(reply, second, self._random.randrange(1, length + length // 2 + 1))
        # Behind it, or over a last byte that happens to stay as it is: the first one is heard whole.
        if both.startswith(reply):
            return Send(0, reply), Send(0, both[length:])
        return (Send(0, both),)

    def _second_master(self, gap_ns: int) -> tuple[Send, Send]:
        """It asks a unit that is not here for two registers, and has its answer."""
        unit_id = next(unit for unit in range(247, 0, -1) if unit not in self._memories)
        reply = wire.values_pdu(Area.HOLDING, self._random.randbytes(4))
        return (
            Send(gap_ns, wire.rtu_frame(unit_id, bytes((3, 0, 0, 0, 2)))),
            Send(gap_ns, wire.rtu_frame(unit_id, reply)),
        )

    def noise(self, count: int) -> bytes:
        """Bytes of a babbling device."""
        return self._random.randbytes(count)


def _refused(device: SimDevice, asked: _Asked, code: int) -> Happened:
    """A request that is no read: there is no area to log it under."""
    detail = f"request {asked.pdu.hex()}: exception {code}"
    return Happened(t_wall=asked.wall, t_mono=asked.now, event="refused", device=device.name, detail=detail)


def _served(device: SimDevice, asked: _Asked, request: wire.ReadPdu, data: bytes | int) -> Served:
    """`data` is what is read, or the exception code."""
    return Served(
        t_wall=asked.wall,
        t_mono=asked.now,
        asked=asked.now,
        unit=device.unit_id,
        device=device.name,
        area=request.area,
        address=request.address,
        count=request.count,
        words="" if isinstance(data, int) else data.hex(),
        answer=Answer.EXCEPTION if isinstance(data, int) else Answer.VALUES,
        code=data if isinstance(data, int) else 0,
    )


def _with_fault(entry: Entry, fault: Fault, sends: tuple[Send, ...]) -> Entry:
    """The log's entry with the fault's name and what it made of the reply."""
    if isinstance(entry, Happened):
        return Happened(
            t_wall=entry.t_wall,
            t_mono=entry.t_mono,
            event=entry.event,
            device=entry.device,
            detail=f"{entry.detail}, fault {fault.kind}",
        )
    answer = _ANSWER.get(fault.kind, entry.answer)
    if fault.kind is FaultKind.LATE and sends[0].delay_ns >= fault.timeout_ns:
        answer = Answer.LATE
    if fault.kind is FaultKind.SECOND_DEVICE and len(sends) == 1:
        answer = Answer.BAD
    return entry.answered(answer, fault.kind)


def _check_identities(devices: tuple[SimDevice, ...]) -> None:
    problems = []
    for place, device in enumerate(devices):
        for other in devices[:place]:
            if device.unit_id == other.unit_id or device.name == other.name:
                what = "unit id" if device.unit_id == other.unit_id else "name"
                message = f"has the same {what} as device {other.name}"
                problems.append(
                    Problem(file="simulator", line=0, key=f"device.{device.name}", message=message)
                )
    if problems:
        raise InputError(problems)
