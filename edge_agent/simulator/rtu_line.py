"""A serial line as a state machine: bytes heard in, bytes due out. Pure; time is an argument.

Owns how requests are told apart, when which byte of a reply is due, and collisions. A request that
arrives in one piece still took its characters' time on the wire, so its end is reckoned from its
first byte. The wire is one: who speaks while another speaks is not heard, and both are garbled.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from edge_agent.model import MonoNs, WallNs
from edge_agent.simulator import wire
from edge_agent.simulator.faults import Fault
from edge_agent.simulator.log import Answer, Entry, Happened, Served
from edge_agent.simulator.pace import FIFO_BYTES, Chunk, Chunks, Lateness, chunks
from edge_agent.simulator.slave import Reply, Send, Slave

_NEVER = MonoNs(1 << 62)
_MAX_FRAME_BYTES = 256


@dataclass(slots=True)
class _Transmission:
    """A whole reply on the wire, and the entry that is logged when its last chunk is out."""

    begin: MonoNs
    end: MonoNs
    entry: Entry | None = None
    collided: bool = False


@dataclass(slots=True, order=True)
class Due:
    """A chunk to be written."""

    when: MonoNs
    number: int
    data: bytes = field(compare=False)
    slack_ns: int = field(compare=False)
    sender: _Transmission = field(compare=False)
    is_last: bool = field(compare=False)


@dataclass(slots=True)
class _Babble:
    until: MonoNs
    next: MonoNs
    device: str
    fault: Fault


@dataclass(slots=True)
class LineCounts:
    """What happened on the line, for the closing report."""

    requests: int = 0
    bad_requests: int = 0
    """Frames with a bad CRC or too short to be one."""
    too_soon: int = 0
    """Requests that began before the line had been silent for 3.5 characters."""
    collisions: int = 0
    """Times that two spoke at once."""
    noise_bytes: int = 0
    gap_min_ns: int = _NEVER
    """Shortest silence before a request."""

    @property
    def has_gap(self) -> bool:
        return self.gap_min_ns < _NEVER


class RtuLine:
    """The slave's side of one line. Used by one thread."""

    def __init__(
        self,
        slave: Slave,
        timing: wire.Timing,
        mode: Chunks = Chunks.FIFO,
        turnaround_ns: int | None = None,
    ) -> None:
        self.slave = slave
        self.timing = timing
        self.mode = mode
        self.turnaround_ns = timing.t35_ns if turnaround_ns is None else turnaround_ns
        """End of a request to the first start bit of its reply. No slave can be sure of the end of a
        request before 3.5 characters of silence, which is the default."""
        self.counts = LineCounts()
        self.lateness = Lateness()
        self._heard = bytearray()
        self._heard_first = MonoNs(0)
        self._heard_last = MonoNs(0)
        self._free_at: MonoNs | None = None
        """End of the last character anybody sent."""
        self._due: list[Due] = []
        self._numbers = 0
        self._babble: _Babble | None = None
        self._decided: list[Entry] = []

    # --- the master speaks ------------------------------------------------------------------

    def heard(self, data: bytes, now: MonoNs, wall: WallNs) -> None:
        """Bytes from the master, all of which came at `now`."""
        if not self._heard:
            self._heard_first = now
            self._measure_gap(now)
        self._heard += data
        self._heard_last = MonoNs(max(now, self._heard_end))
        if self._speaks_over(self._heard_first, self._heard_end):
            self._heard.clear()
            return
        while request := wire.complete_request(bytes(self._heard[:8])):
            del self._heard[: len(request)]
            self._take_request(request, wall)
            self._heard_first = self._free_at or now
        if len(self._heard) > _MAX_FRAME_BYTES:
            self._give_up()

    @property
    def _heard_end(self) -> MonoNs:
        return MonoNs(self._heard_first + len(self._heard) * self.timing.char_ns)

    def _measure_gap(self, now: MonoNs) -> None:
        if self._free_at is None:
            return
        gap_ns = now - self._free_at
        self.counts.gap_min_ns = min(self.counts.gap_min_ns, gap_ns)
        self.counts.too_soon += gap_ns < self.timing.t35_ns

    def _speaks_over(self, begin: MonoNs, end: MonoNs) -> bool:
        """Whether the master speaks while a device does; what is left of the reply is then garbled."""
        if self._babble:
            self.counts.collisions += 1
            return True
        overlapped = [due.sender for due in self._due if due.sender.begin < end and begin < due.sender.end]
        for sender in overlapped:
            self.counts.collisions += not sender.collided
            sender.collided = True
        return bool(overlapped)

    def _take_request(self, frame: bytes, wall: WallNs) -> None:
        end = MonoNs(self._heard_first + len(frame) * self.timing.char_ns)
        self._free_at = end
        self.counts.requests += 1
        if reply := self.slave.rtu(frame, end, wall):
            self._schedule(reply, end)

    def _give_up(self) -> None:
        self.counts.bad_requests += 1
        self._free_at = self._heard_last
        self._heard.clear()

    # --- the devices speak ------------------------------------------------------------------

    def _schedule(self, reply: Reply, end: MonoNs) -> None:
        if reply.noise_ns and reply.fault:
            begin = MonoNs(end + self.turnaround_ns)
            self._babble = _Babble(MonoNs(begin + reply.noise_ns), begin, reply.device, reply.fault)
        if not reply.sends:
            self._decided.append(reply.entry)
            return
        end = self._transmit(reply.sends, MonoNs(end + self.turnaround_ns), reply.entry)
        for send in reply.strangers:
            end = self._transmit((send,), end, None)

    def _transmit(self, sends: tuple[Send, ...], begin: MonoNs, entry: Entry | None) -> MonoNs:
        """Plan bytes, the first not before `begin`; return when the wire is free again."""
        sender = _Transmission(MonoNs(begin + sends[0].delay_ns), begin, entry)
        planned: list[Chunk] = []
        for send in sends:
            start = MonoNs(sender.end + send.delay_ns)
            planned += chunks(send.data, start, self.timing, self.mode)
            sender.end = MonoNs(start + len(send.data) * self.timing.char_ns)
        for other in {id(due.sender): due.sender for due in self._due}.values():
            if other.begin < sender.end and sender.begin < other.end:
                other.collided = sender.collided = True
                self.counts.collisions += 1
        for chunk in planned:
            self._numbers += 1
            due = Due(chunk.due, self._numbers, chunk.data, chunk.slack_ns, sender, chunk is planned[-1])
            heapq.heappush(self._due, due)
        return sender.end

    def next_due(self) -> MonoNs | None:
        """When something is to be done without anything being heard; None: never."""
        times = []
        if self._due:
            times.append(self._due[0].when)
        if self._heard:
            times.append(MonoNs(self._heard_last + self.timing.t35_ns))
        if self._babble:
            times.append(self._babble.next)
        return min(times) if times else None

    def take(self, now: MonoNs, wall: WallNs) -> list[Due]:
        """The chunks to write now. Each is to be reported by `written`."""
        if self._heard and now >= self._heard_last + self.timing.t35_ns:
            self._end_of_frame(wall)
        if self._babble:
            self._plan_noise(now)
        taken = []
        while self._due and self._due[0].when <= now:
            due = heapq.heappop(self._due)
            if due.sender.collided:
                due.data = bytes(byte ^ 0x5A for byte in due.data)
            taken.append(due)
        return taken

    def _end_of_frame(self, wall: WallNs) -> None:
        """Silence ended what was heard: a frame whose length only silence tells, or rubbish."""
        if wire.is_rtu_frame(frame := bytes(self._heard)):
            self._heard.clear()
            self._take_request(frame, wall)
        else:
            self._give_up()

    def _plan_noise(self, now: MonoNs) -> None:
        babble = self._babble
        if babble is None or now < babble.next:
            return
        if now >= babble.until or not self.slave.faults.holds(babble.device, babble.fault):
            self._babble = None
            return
        span_ns = max(FIFO_BYTES * self.timing.char_ns, 1_000_000)
        noise = self.slave.noise(
            max(1, span_ns // self.timing.char_ns) if self.timing.char_ns else FIFO_BYTES
        )
        self.counts.noise_bytes += len(noise)
        # Noise that is overdue is not made up for: a babbling device has no plan to keep.
        begin = babble.next if now - babble.next < span_ns else now
        babble.next = MonoNs(max(self._transmit((Send(0, noise),), begin, None), begin + span_ns))

    # --- what came of it --------------------------------------------------------------------

    def written(self, due: Due, now: MonoNs, wall: WallNs, whole: bool = True) -> Entry | None:
        """A chunk was written at `now`, or could not be (`whole`); the entry that is now certain."""
        self.lateness.add(now - due.when, due.slack_ns)
        sender = due.sender
        sender.collided = sender.collided or not whole
        if not due.is_last:
            return None
        # A chunk that was written late has left the wire late; an adapter only hands it over late.
        end = sender.end if self.mode is Chunks.USB else MonoNs(max(sender.end, now))
        self._free_at = MonoNs(max(end, self._free_at or end))
        return _final(sender, now, wall)

    def decided(self) -> list[Entry]:
        """Entries that were certain at once, because nothing is sent for them."""
        entries, self._decided = self._decided, []
        return entries

    def cut(self, now: MonoNs, wall: WallNs) -> list[Entry]:
        """The line is gone: what was on its way is lost. Its entries."""
        senders = {id(due.sender): due.sender for due in self._due}.values()
        for sender in senders:
            sender.collided = True
        entries = [entry for sender in senders if (entry := _final(sender, now, wall))]
        self._due.clear()
        self._heard.clear()
        self._babble = None
        self._free_at = None
        return entries


def _final(sender: _Transmission, now: MonoNs, wall: WallNs) -> Entry | None:
    match sender.entry:
        case Served() as entry:
            entry = entry.at(now, wall)
            return entry.answered(Answer.CUT) if sender.collided else entry
        case Happened() as entry:
            return entry
        case _:
            return None
