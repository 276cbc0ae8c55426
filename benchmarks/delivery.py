"""After an outage: how long the backlog takes, and what becomes of live data and alarms meanwhile.

Drain: the spool is filled with 72 hours of 100 points read once a second, every value sent; then the agent's
uplink connects to a real mosquitto while live data and alarms go on. Its rate is compared with that of two
publishers that only publish the same payloads, with as many unanswered, before and after in the same run.
Alarms: the whole daemon on a simulated line, from the last byte of the reply to the PUBACK, with a million
records waiting and with none. Needs mosquitto.

python benchmarks/delivery.py                   as published: about a quarter of an hour, and 1 GiB of disk
python benchmarks/delivery.py --share 0.02      a try of a minute, printed only
python benchmarks/delivery.py --folder DIR      the spools on another disk
"""

from __future__ import annotations

import argparse
import secrets
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median, quantiles
from tempfile import TemporaryDirectory

from _backlog import Source, disk_of, fill, site_of, transition
from _broker_rate import paho_per_s, socket_per_s
from _common import Row, publish, show
from _mqtt_tap import Tap
from _processes import Bench, Task, agent_id, broker, running, script, simulated

from edge_agent.clock import SystemClock, boot_id
from edge_agent.counters import Counters
from edge_agent.daemon.agent import SWITCH_INTERVAL_S
from edge_agent.kernels import load
from edge_agent.model import NS, Site
from edge_agent.records.values import ALARM, SAMPLE, Recovery, Stamp
from edge_agent.records.writer import RecordWriter
from edge_agent.spool import Limits, Spool, SpoolWriter
from edge_agent.uplink.outbox import Ref, SpoolOutbox
from edge_agent.uplink.sender import Sender

HOURS, POINTS = 72, 100
BACKLOG = 1_000_000
ALARMS = 300
_DEFAULT_RATE, _NO_CAP = 200, 100_000
_CAPPED_S = 30.0
"""How long the capped drain is watched: its rate does not change."""
_PEER_RECORDS = 20_000
_OUTAGE = b"outage--"
_ALARM_TOPIC_PAUSE_S = 0.25


# --- draining -------------------------------------------------------------------------------------


class _Watched(SpoolOutbox):
    """Notes what is acknowledged when, and that each stream of the backlog comes in its order."""

    def __init__(self, spool: Spool) -> None:
        super().__init__(spool)
        self.drained = 0
        self.answered: dict[Ref, int] = {}
        self._last: dict[tuple[bytes, str], int] = {}

    def read(self, ref: Ref) -> bytes | None:
        if ref.epoch != self.epoch:
            run = ref.epoch, ref.stream
            assert self._last.get(run, 0) < ref.seq, f"{ref} comes out of order"
            self._last[run] = ref.seq
        return super().read(ref)

    def ack(self, refs: Sequence[Ref]) -> None:
        super().ack(refs)
        now = time.monotonic_ns()
        for ref in refs:
            if ref.epoch == self.epoch:
                self.answered[ref] = now
            else:
                self.drained += 1


@dataclass(slots=True)
class _Drain:
    """What was seen of one."""

    records: int
    seconds: float
    live_ms: list[float] = field(default_factory=list)
    alarm_ms: list[float] = field(default_factory=list)
    busy: float = 0.0
    """Processor seconds of this process a second."""

    @property
    def per_s(self) -> float:
        return self.records / self.seconds


class _Uplink:
    """The spool's thread and the uplink's, as in the daemon, and a thread that makes live records."""

    def __init__(self, site: Site) -> None:
        self._clock = SystemClock()
        counters = Counters()
        limits = Limits(max_bytes=1 << 40, min_free_bytes=0)
        self._epoch = secrets.token_bytes(8)
        self.spool = Spool(Path(site.spool.path), self._epoch, limits=limits, counters=counters)
        self.waiting = sum(self.spool.stats().unacked.values())
        self.outbox = _Watched(self.spool)
        self._sender = Sender(site, self.outbox, self._clock, counters)
        self._writer = SpoolWriter(
            self.spool,
            self._clock,
            counters,
            commit_ns=NS,
            on_new=self._sender.wake,
            on_losses=lambda _: None,
        )
        self._records = RecordWriter(
            site, self._epoch, boot_id=boot_id(), counters=counters, by=load("native")
        )
        self._source = Source(len(site.points))
        self.made: dict[Ref, int] = {}
        self._stop = threading.Event()
        bodies = (self._writer.run, self._sender.run)
        self._threads = [threading.Thread(target=body, args=(self._stop,), daemon=True) for body in bodies]
        self._live = threading.Thread(target=self._make, daemon=True)

    def _now(self) -> Stamp:
        return Stamp(self._clock.wall_ns(), self._clock.mono_ns(), True)

    def start(self) -> None:
        self._writer.put(self._records.start(self._now(), Recovery()))
        for thread in (*self._threads, self._live):
            thread.start()
        while self._sender.snapshot()["state"] != "connected":
            self.check()
            time.sleep(0.005)

    def check(self) -> None:
        """A thread that ended by an error has said why."""
        assert all(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        self._stop.set()
        self._sender.wake()
        self._writer.wake()
        for thread in (*self._threads, self._live):
            thread.join()
        self.spool.close(self._clock.mono_ns())

    def _make(self) -> None:
        """An alarm four times a second, a record of samples once a second."""
        turn = 0
        while not self._stop.wait(_ALARM_TOPIC_PAUSE_S):
            turn += 1
            now = self._now()
            items = self._records.add([transition(now.mono_ns, now.wall_ns, active=turn % 2 == 1)], now)
            if turn % 4 == 0:
                items += self._records.add([*self._source.second(now.mono_ns, now.wall_ns)], now)
                items += self._records.flush(now, now.wall_ns)
            for item in items:
                if item.stream in (ALARM, SAMPLE) and hasattr(item, "seq"):
                    self.made[Ref(self._epoch, item.stream, item.seq)] = now.mono_ns
            self._writer.put(items)

    def ages_ms(self, stream: str) -> list[float]:
        """From made to acknowledged; all that were made a second ago must be."""
        answered = self.outbox.answered
        late = time.monotonic_ns() - NS
        unanswered = [ref for ref, born in self.made.items() if born < late and ref not in answered]
        assert not unanswered, f"live records wait behind the backlog: {unanswered[:3]}"
        return [
            (answered[ref] - born) / 1e6
            for ref, born in self.made.items()
            if ref in answered and ref.stream == stream
        ]


def drain(site: Site, longest_s: float) -> _Drain:
    """Until all is acknowledged or `longest_s` is over."""
    uplink = _Uplink(site)
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    uplink.start()
    begin, used = time.perf_counter(), time.process_time()
    while uplink.outbox.drained < uplink.waiting and time.perf_counter() - begin < longest_s:
        uplink.check()
        time.sleep(0.02)
    seconds, drained = time.perf_counter() - begin, uplink.outbox.drained
    used = time.process_time() - used
    time.sleep(1.5)
    seen = _Drain(drained, seconds, uplink.ages_ms(SAMPLE), uplink.ages_ms(ALARM), used / seconds)
    uplink.stop()
    sys.setswitchinterval(before)
    return seen


def drain_rows(bench: Bench, share: float) -> list[Row]:
    folder = bench.place("outage")
    seconds = round(HOURS * 3600 * share)
    site = site_of("drain", POINTS, folder, bench.url, _DEFAULT_RATE)
    filled = fill(site, folder, seconds, _OUTAGE)
    print(f"filled: {filled.records} records, {filled.size_bytes / 2**20:.0f} MiB", flush=True)
    sample = _payloads(folder)
    topic = f"ea1/bench/drain/up/hist/{SAMPLE}"
    capped = drain(site, min(_CAPPED_S, filled.records / _DEFAULT_RATE / 2))
    peers = [_peers(bench.url, topic, sample)]
    free = drain(site_of("drain", POINTS, folder, bench.url, _NO_CAP), 3600)
    peers.append(_peers(bench.url, topic, sample))
    rates = {name: mean(turn[name] for turn in peers) for name in peers[0]}
    where = f"{HOURS * share:g} h of outage, {POINTS} points a second"
    return [
        Row(claim=f"{where}: records waiting", value=filled.records, unit="records"),
        Row(claim=f"{where}: drained without a cap", value=free.per_s, unit="records/s", peers=rates),
        Row(claim=f"{where}: time to drain without a cap", value=filled.records / free.per_s, unit="s",
            peers={name: filled.records / rate for name, rate in rates.items()}),
        Row(claim="the same as a share of paho's rate", value=free.per_s / rates["paho"], unit="x"),
        Row(claim="the same as a share of a bare socket's rate", value=free.per_s / rates["a bare socket"],
            unit="x"),
        Row(claim="processor of the draining process", value=100 * free.busy, unit="% of a core"),
        Row(claim=f"{where}: time to drain at the default backlog_rate ({_CAPPED_S:g} s watched)",
            value=filled.records / capped.per_s / 60, unit="min"),
        *_live_rows("drained at the default rate", capped),
        *_live_rows("drained without a cap", free),
    ]  # fmt: skip


def _live_rows(how: str, seen: _Drain) -> list[Row]:
    return [
        *_both(f"live samples to PUBACK while {how}", seen.live_ms, ""),
        *_both(f"alarm to PUBACK while {how}", seen.alarm_ms, "<= 20"),
    ]


def _payloads(folder: Path) -> list[bytes]:
    """The first samples of the backlog."""
    spool = Spool(
        folder, b"peeking-", limits=Limits(max_bytes=1 << 40, min_free_bytes=0), counters=Counters()
    )
    found: list[bytes] = []
    position = 0
    while len(found) < _PEER_RECORDS and (records := spool.read(SAMPLE, position)):
        found += [record.data for record in records]
        position = records[-1].position + 1
    spool.close(SystemClock().mono_ns())
    return found[:_PEER_RECORDS]


def _peers(url: str, topic: str, payloads: Sequence[bytes]) -> dict[str, float]:
    return {
        "paho": paho_per_s(url, topic, payloads),
        "a bare socket": socket_per_s(url, topic, payloads),
    }


# --- alarms behind a million ----------------------------------------------------------------------


def alarm_rows(bench: Bench, share: float) -> list[Row]:
    waiting = round(BACKLOG * share)
    enough = max(40, round(ALARMS * min(1, 10 * share)))
    disk = disk_of(bench.folder)
    rows = []
    for records in (0, waiting):
        with _daemon(bench, records, enough) as tap:
            assert tap.enough.wait(40 + enough), f"{len(tap.ages_ms)} of {enough} alarms came"
            ages = tap.ages_ms[:enough]
        what = f"{records:,} records waiting" if records else "an empty spool"
        rows += _both(f"reply's last byte to PUBACK of its alarm, {what} ({disk})", ages, "<= 20")
    return rows


@contextmanager
def _daemon(bench: Bench, backlog: int, enough: int) -> Iterator[Tap]:
    """A whole daemon whose alarm comes and goes, with records of an earlier run in its spool."""
    folder = bench.place("alarms")
    tap = Tap(bench.url, enough)
    steps = script("{ step = { low = 0, high = 100, period = '620ms' } }")
    alarm = '[alarm.high]\npoint = "unit_1.p7"\nabove = 50\n'
    with simulated(folder, "--baud", "115200", devices=steps) as line:
        command = Task(port=line.path, units=1, period_s=0.05).daemon(folder, tap.url, alarm)
        if backlog:
            site = site_of(agent_id(folder), 1, folder / "spool", tap.url, _DEFAULT_RATE)
            filled = fill(site, folder / "spool", backlog, _OUTAGE, alarms=False)
            print(f"filled: {filled.records} records, {filled.size_bytes / 2**20:.0f} MiB", flush=True)
        try:
            with running(command, folder / "log"):
                yield tap
        finally:
            tap.close()


def _both(claim: str, values: Sequence[float], budget: str) -> list[Row]:
    if len(values) < 2:
        return []  # A try is over before anything came.
    return [
        Row(claim=f"{claim}, median", value=median(values), unit="ms", budget=budget),
        Row(claim=f"{claim}, p99", value=quantiles(values, n=100)[98], unit="ms"),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--share", type=float, default=1.0, help="of the outage, the backlog and the alarms")
    parser.add_argument(
        "--folder", type=Path, help="where the spools lie; default: the system's for temporary files"
    )
    options = parser.parse_args()
    with TemporaryDirectory(dir=options.folder) as name, broker(Path(name)) as url:
        bench = Bench(Path(name), url)
        rows = [*drain_rows(bench, options.share), *alarm_rows(bench, options.share)]
        if options.share == 1:
            return publish("delivery", rows)
        show(rows)
        return 0


if __name__ == "__main__":
    sys.exit(main())
