"""One run of the agent: everything built, wired, started, supervised, and stopped in order.

Order of the start: spool (recovery), kernels (tested in a child before there is a thread), process
stage, then the threads from the cloud's end to the line's, so that whoever hands something on finds
someone who takes it. Order of the stop: buses, pipeline, spool, uplink, so that everything that was
read still goes the whole way; each step has its bound, all together less than 5 s.
"""

from __future__ import annotations

import logging
import os
import secrets
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_agent import kernels
from edge_agent.bus.plan import overload
from edge_agent.bus.plan.forecast import forecasts
from edge_agent.bus.worker import BusWorker
from edge_agent.clock import Clock, boot_id, unasked_keeper
from edge_agent.counters import Counters
from edge_agent.daemon import systemd
from edge_agent.daemon.chronicle import Chronicle, Look
from edge_agent.daemon.desk import Desk
from edge_agent.daemon.heritage import Heritage, Store
from edge_agent.daemon.intake import Intake
from edge_agent.daemon.pipeline import Pipeline
from edge_agent.daemon.snapshot import Snapshots, Sources
from edge_agent.daemon.status import StatusServer
from edge_agent.daemon.supervisor import WatchdogFeeder, trouble
from edge_agent.daemon.threads import Worker, stop_together
from edge_agent.daemon.tracer import Tracer
from edge_agent.daemon.trial import Trial
from edge_agent.errors import KernelError
from edge_agent.kernels import selftest
from edge_agent.model import MonoNs, Site
from edge_agent.process.stage import Stage
from edge_agent.records.events import Audit
from edge_agent.records.values import Item
from edge_agent.records.writer import RecordWriter
from edge_agent.spool import Limits, Spool
from edge_agent.spool.account import SPOOL_LOST
from edge_agent.spool.writer import SpoolWriter
from edge_agent.uplink.outbox import SpoolOutbox
from edge_agent.uplink.sender import Sender

log = logging.getLogger(__name__)

# A busy Python thread holds the interpreter for this long before another may have it. With the
# default of 5 ms a bus thread whose reply is due wakes up to 5 ms late; at 0.2 ms, 0.3 ms late.
SWITCH_INTERVAL_S = 0.0002
SUPERVISION_S = 1.0
EPOCH_BYTES = 8
FIRST_GENERATION = 1

_HINT_CLOCK = "add the drop-in of /usr/share/doc/edge-agent/service.md, Drop-ins"

STOP_BUSES_S = 1.0
STOP_PIPELINE_S = 0.8
STOP_SPOOL_S = 1.0
STOP_UPLINK_S = 1.7
STOP_STATUS_S = 0.2
STOP_TRACE_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says beside the configuration."""

    socket: Path
    tracer: Tracer | None = None
    trial: Trial | None = None


class Agent:
    """Built from a checked `Site`; `run` returns the exit status."""

    def __init__(self, site: Site, options: Options, clock: Clock) -> None:
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._site = site
        self._trial = options.trial
        self._clock = clock
        self._counters = Counters()
        self._chronicle = Chronicle()
        self.problems: list[str] = []
        if keeper := unasked_keeper():
            # It would be marked unsynchronised for ever, and the one who installed chrony knows better.
            self.problems.append(f"clock: {keeper} keeps it, and the service may not ask: {_HINT_CLOCK}")
        self._epoch = secrets.token_bytes(EPOCH_BYTES)
        limits = Limits.of(site.spool)
        self._spool = Spool(Path(site.spool.path), self._epoch, limits=limits, counters=self._counters)
        self._functions = functions = self._kernels()
        now = clock.mono_ns(), clock.wall_ns()
        self._stage = Stage.build(site, FIRST_GENERATION, functions, *now, counters=self._counters)
        # As plain Python the compiled loop would only be slower than the bus's own.
        self._talk = functions.talk if functions.mode == "native" else None
        snapshots = self._snapshots(functions.mode)
        self._sender = self._make_sender(snapshots)
        self._intake = Intake(clock, self._counters)
        self._buses = [self._bus(index, options.tracer) for index in range(len(site.buses))]
        self._pipeline = self._make_pipeline()
        self._spool_writer = self._make_spool_writer()
        self._pipeline.open(self._spool.recovery)
        for audit in self._spool.ordered():
            self._pipeline.audit(audit)
        desk = Desk(
            site, self._buses, clock, self._counters, store=self._spool_writer, audit=self._pipeline.audit
        )
        self._status = StatusServer(options.socket, snapshots.take, clock, desk)
        self._workers = self._make_workers(options.tracer)

    # --- parts ----------------------------------------------------------------------------------

    def _kernels(self) -> kernels.Kernels:
        """The native kernels after their self-test; else plain Python, said aloud."""
        try:
            # As `kernels.load` reads it: empty means native too, and nothing native is trusted untested.
            if (os.environ.get(kernels.MODE_VARIABLE) or "native") == "native":
                selftest.ensure(Path(self._site.spool.path).parent)
            return kernels.load()
        except KernelError as error:
            log.error("native kernels cannot be used, plain Python takes over: %s", error)
            self.problems.append(f"kernels run as plain Python: {str(error).splitlines()[0]}")
            return kernels.load("python")

    def _bus(self, index: int, tracer: Tracer | None) -> BusWorker:
        trace = tracer.take if tracer is not None and self._site.buses[index].name == tracer.bus else None
        return BusWorker(
            self._site,
            index,
            FIRST_GENERATION,
            self._intake.put,
            self._clock,
            self._counters,
            trace,
            talk=self._talk,
        )

    def _snapshots(self, kernel_mode: str) -> Snapshots:
        sources = Sources(
            buses=lambda: [bus.snapshot() for bus in self._buses],
            points=self._stage.latest,
            alarms=self._stage.alarm_states,
            spool=self._spool.stats,
            uplink=lambda: dict(self._sender.snapshot()),
            problems=self.trouble,
        )
        return Snapshots(self._site, self._epoch, kernel_mode, sources, self._clock, self._counters)

    def _make_sender(self, snapshots: Snapshots) -> Sender:
        outbox, alarms = SpoolOutbox(self._spool), self._stage.known_alarm_states
        return Sender(
            self._site, outbox, self._clock, self._counters, alarms, snapshots.health, audit=self._audit
        )

    def _audit(self, audit: Audit) -> None:
        """From the uplink thread, which is made before the pipeline."""
        log.info("%s: %s %s %s", audit.who, audit.what, audit.result, audit.detail)
        self._pipeline.audit(audit)

    def _make_pipeline(self) -> Pipeline:
        writer = RecordWriter(
            self._site, self._epoch, boot_id=boot_id(), counters=self._counters, by=self._functions
        )
        return Pipeline(
            stage=self._stage,
            writer=writer,
            intake=self._intake,
            submit=self._store,
            alarm_changed=self._sender.alarm_changed,
            settled=self._settled,
            clock=self._clock,
            flush_ns=self._site.spool.commit_ns,
            heritage=Heritage(self._site, self._checkpoints(), self._counters),
        )

    def _checkpoints(self) -> Store:
        spool = self._spool
        return Store(
            keep=self._keep_windows,
            keep_now=spool.keep_windows,
            works=lambda: spool.keeps_windows,
            found=spool.windows,
            damaged=spool.windows_damaged,
            births={birth.dict_hash for birth in spool.births()},
        )

    def _make_spool_writer(self) -> SpoolWriter:
        return SpoolWriter(
            self._spool,
            self._clock,
            self._counters,
            commit_ns=self._site.spool.commit_ns,
            on_new=self._sender.wake,
            on_losses=self._pipeline.lost,
        )

    def _store(self, items: Sequence[Item]) -> None:
        self._spool_writer.put(items)

    def _keep_windows(self, checkpoint: bytes) -> None:
        self._spool_writer.keep_windows(checkpoint)

    def _settled(self) -> MonoNs:
        return min((bus.settled() for bus in self._buses), default=self._clock.mono_ns())

    def _make_workers(self, tracer: Tracer | None) -> dict[str, Worker]:
        counters = self._counters
        spool, sender, pipeline, status = self._spool_writer, self._sender, self._pipeline, self._status
        workers = [
            Worker("status", status.run, status.heartbeat, counters, status.wake),
            Worker("uplink", sender.run, sender.heartbeat, counters, sender.wake),
            Worker("spool", spool.run, spool.heartbeat, counters, spool.wake),
            Worker("pipeline", pipeline.run, pipeline.heartbeat, counters, self._intake.wake),
            *(self._bus_worker(bus) for bus in self._buses),
        ]
        if tracer is not None:
            workers.append(Worker("trace", tracer.run, tracer.heartbeat, counters))
        return {worker.name: worker for worker in workers}

    def _bus_worker(self, bus: BusWorker) -> Worker:
        return Worker(f"bus-{bus.bus.name}", bus.run, bus.heartbeat, self._counters, bus.wake)

    # --- what the status shows ------------------------------------------------------------------

    def trouble(self) -> list[str]:
        """What is wrong now, for people: degraded parts and threads that are late."""
        spool = self._spool.stats()
        degraded = list(self._trial.problems()) if self._trial is not None else []
        if spool.problem:
            degraded.append(f"spool: {spool.problem}")
        if spool.memory_only:
            degraded.append("spool: the disk cannot be used, records live in memory: a restart loses them")
        return [*self.problems, *degraded, *self._sender.problems(), *self._late()]

    # --- the run --------------------------------------------------------------------------------

    def run(self, stop: threading.Event) -> int:
        """Until `stop`, or until a thread fails; the exit status."""
        for worker in self._workers.values():
            worker.start()
        systemd.notify("READY=1", f"STATUS={self._summary()}")
        log.info("started: %s", self._summary())
        self._foresee()
        feeder = WatchdogFeeder(systemd.watchdog_ns())
        while not stop.wait(SUPERVISION_S) and not self._failed():
            self._supervise(feeder)
        return self._shut_down()

    def _foresee(self) -> None:
        """Say what is asked of a bus beyond its limit, only now: nothing is read later for its sake."""
        found = [forecast for forecast in forecasts(self._site) if forecast.is_overloaded]
        self.problems += [overload.problem(forecast) for forecast in found]

    def _supervise(self, feeder: WatchdogFeeder) -> None:
        for entry in self._chronicle.look(self._look()):
            log.log(entry.level, "%s", entry.message, extra=dict(entry.fields))
        now, healthy = self._clock.mono_ns(), not self._late()
        if self._trial is not None:
            self._trial.turn(now, healthy=healthy)
        if feeder.due(now, healthy=healthy):
            systemd.notify("WATCHDOG=1", f"STATUS={self._summary()}")

    def _late(self) -> list[str]:
        """Threads that have ended or hang; the watchdog is fed only while there is none."""
        return trouble([worker.watched for worker in self._workers.values()], self._clock.mono_ns())

    def _look(self) -> Look:
        return Look(
            buses=tuple(bus.snapshot() for bus in self._buses),
            alarms=tuple(self._stage.known_alarm_states()),
            problems=tuple(self.trouble()),
            lost=sum(value for name, _, value in self._counters if name == SPOOL_LOST.name),
        )

    def _failed(self) -> bool:
        return any(worker.failed for worker in self._workers.values())

    def _shut_down(self) -> int:
        systemd.notify("STOPPING=1")
        failed = self._failed()
        buses = [worker for name, worker in self._workers.items() if name.startswith("bus-")]
        ended = [stop_together(buses, STOP_BUSES_S, self._clock)]
        ended.append(self._workers["pipeline"].stop(STOP_PIPELINE_S))
        ended.append(self._workers["spool"].stop(STOP_SPOOL_S))
        ended.append(self._workers["uplink"].stop(STOP_UPLINK_S))
        ended.append(self._workers["status"].stop(STOP_STATUS_S))
        if "trace" in self._workers:
            self._workers["trace"].stop(STOP_TRACE_S)
        if all(ended):
            # Only now: what the broker acknowledged to the very end is remembered.
            self._spool.close(self._clock.mono_ns())
        log.info("stopped%s", " after a failure" if failed else "")
        return 1 if failed or not all(ended) else 0

    def _summary(self) -> str:
        site = self._site
        said = self._trial.problems() if self._trial is not None else ()
        return "; ".join(
            [*said, f"{len(site.buses)} buses, {len(site.devices)} devices, {len(site.points)} points"]
        )
