"""One hostile device on a real port: the others are read, nothing wrong is believed, the port stays open.

A real worker on a pseudo-terminal, with the compiled loop and without. Two units answer as they should;
the third does whatever the test says.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random

import pytest

from edge_agent import kernels
from edge_agent.bus.outcomes import Block, BusEvent, NoReply, Values
from edge_agent.bus.schedule.lane import Asked
from edge_agent.bus.worker import BusWorker
from edge_agent.clock import SystemClock
from edge_agent.counters import Counters
from edge_agent.model import NS, MonoNs, SerialLink
from edge_agent.simulator.wire import rtu_frame
from tests.contract.bus_slaves import PtySlave, data_for, rtu_reply
from tests.unit.bus.site import MS, device, site

ONE, HOSTILE, OTHER = UNITS = (11, 12, 13)
PATIENCE_S = 20.0
"""For a condition that comes true in a second or two on a machine with time."""

Reply = Callable[["Plant", bytes], bytes]


class Plant:
    """The slave, the worker on it, and what the worker handed on."""

    def __init__(self, seed: int, talk) -> None:
        self.dice = Random(seed)
        self.hostile: Reply = lambda _plant, _request: b""
        self.slave = PtySlave(self._reply)
        self.events: list[BusEvent] = []
        self._timers: list[threading.Timer] = []
        devices = [
            device(name, unit, 4, 100)
            for name, unit in (("one", ONE), ("hostile", HOSTILE), ("other", OTHER))
        ]
        where = site(
            *devices, link=SerialLink(path=self.slave.path, baud=115200), timeout_ns=100 * MS, max_load=1.0
        )
        self.worker = BusWorker(where, 0, 1, self.events.append, SystemClock(), Counters(), talk=talk)
        self._stop = threading.Event()
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.worker.run(self._stop)
        except BaseException as error:  # noqa: BLE001 - said by whoever waits for it
            self.failure = error

    def _reply(self, request: bytes) -> bytes:
        return self.hostile(self, request) if request[0] == HOSTILE else rtu_reply(request)

    def later(self, delay_s: float, data: bytes) -> None:
        timer = threading.Timer(delay_s, self.slave.say, (data,))
        self._timers.append(timer)
        timer.start()

    def blocks(self, unit: int) -> list[Block]:
        events = [event for event in list(self.events) if isinstance(event, Block)]
        return [event for event in events if event.request.unit_id == unit]

    def values(self, unit: int) -> int:
        return sum(isinstance(block.outcome, Values) for block in self.blocks(unit))

    def wait(self, condition: Callable[[], bool]) -> None:
        give_up = time.monotonic() + PATIENCE_S
        while not condition():
            assert self.thread.is_alive(), self.failure
            assert time.monotonic() < give_up, self.outcomes()
            time.sleep(0.02)

    def outcomes(self) -> dict[int, Counter[str]]:
        return {unit: Counter(type(block.outcome).__name__ for block in self.blocks(unit)) for unit in UNITS}

    def close(self) -> None:
        self._stop.set()
        self.thread.join(PATIENCE_S)
        for timer in self._timers:
            timer.cancel()
            timer.join()
        self.slave.close()

    def ask_for(self, unit: int) -> None:
        """As `status --probe` does."""
        answered = threading.Event()
        expires = MonoNs(SystemClock().mono_ns() + 10 * NS)
        self.worker.ask(Asked(UNITS.index(unit), expires, lambda _: answered.set()))
        assert answered.wait(PATIENCE_S)

    def judge(self) -> None:
        """The port was opened once, the thread lives, and no value is another than its register's."""
        assert self.thread.is_alive() and self.failure is None
        assert not self.worker.heartbeat.overdue(SystemClock().mono_ns())
        assert (self.worker._line.counts.opened, self.worker._line.fault) == (1, None)
        for block in (block for unit in UNITS for block in self.blocks(unit)):
            request = block.request
            if isinstance(block.outcome, Values):
                served = data_for(request.area.function, request.address, request.count)
                assert block.outcome.data == served, (request, block.outcome)


@pytest.fixture(params=["compiled", "python"])
def plant(request, seed) -> Iterator[Plant]:
    one = Plant(seed, kernels.load("native").talk if request.param == "compiled" else None)
    yield one
    one.close()


# --- what the hostile unit may do ---------------------------------------------------------------------


def silent(plant: Plant, request: bytes) -> bytes:
    return b""


def floods(plant: Plant, request: bytes) -> bytes:
    return plant.dice.randbytes(3000)


def trickles(plant: Plant, request: bytes) -> bytes:
    """A byte every 20 ms, long beyond its timeout."""
    for place, byte in enumerate(rtu_reply(request)):
        plant.later(0.02 * place, bytes((byte,)))
    return b""


def begins_for_ever(plant: Plant, request: bytes) -> bytes:
    """The head of its reply over and over."""
    for place in range(30):
        plant.later(0.01 * place, rtu_reply(request)[:3] * 6)
    return b""


def speaks_as_units_that_are_none(plant: Plant, request: bytes) -> bytes:
    pdu = rtu_reply(request)[1:-2]
    return b"".join(rtu_frame(unit, pdu) for unit in (0, 248, 250, 255))


def pauses_within_its_reply(plant: Plant, request: bytes) -> bytes:
    plant.later(0.08, rtu_reply(request)[4:])
    return rtu_reply(request)[:4]


def echoes_refuses_and_is_late(plant: Plant, request: bytes) -> bytes:
    refusal = rtu_frame(HOSTILE, bytes((request[1] | 0x80, plant.dice.choice((0, 4, 6, 200)))))
    plant.later(plant.dice.uniform(0.1, 0.29), rtu_reply(request))
    return plant.dice.choice((request, refusal, request + refusal))


def asks_itself(plant: Plant, request: bytes) -> bytes:
    """A second master, with half a reply."""
    return (rtu_frame(HOSTILE, request[1:-2]) + rtu_reply(request)[:-1]) * 3


# --- tests ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "hostile",
    [
        floods,
        trickles,
        begins_for_ever,
        speaks_as_units_that_are_none,
        pauses_within_its_reply,
        echoes_refuses_and_is_late,
        asks_itself,
    ],
)
def test_the_others_are_read_beside_a_hostile_device(plant, hostile: Reply) -> None:
    plant.hostile = hostile
    plant.wait(lambda: len(plant.blocks(HOSTILE)) >= 6 and min(map(plant.values, (ONE, OTHER))) >= 10)
    print(plant.outcomes())
    plant.judge()
    # What it leaves behind hurts nobody either, and it comes back when somebody asks for it: by itself, on a
    # line without a gap, one that was late is only asked every other minute.
    plant.hostile = lambda _plant, request: rtu_reply(request)
    before = plant.values(HOSTILE)
    plant.ask_for(HOSTILE)
    plant.wait(lambda: plant.values(HOSTILE) > before)
    plant.judge()


def test_the_port_is_never_closed_because_devices_are_silent(plant) -> None:
    slave_reply, plant.slave.reply = plant.slave.reply, lambda request: b""
    plant.wait(lambda: all(len(plant.blocks(unit)) >= 12 for unit in UNITS))
    assert isinstance(plant.blocks(ONE)[-1].outcome, NoReply)
    plant.judge()
    plant.slave.reply = slave_reply
    plant.hostile = lambda _plant, request: rtu_reply(request)
    before = [plant.values(unit) for unit in UNITS]
    plant.wait(lambda: all(plant.values(unit) > n for unit, n in zip(UNITS, before, strict=True)))
    plant.judge()
