"""Several agents at one broker, each with a simulated line of its own, and one receiver of them all.

with Fleet(tmp_path) as fleet:
    member = fleet.add("gateway", seed=seed)
    member.start(); ...; member.kill(); ...
    fleet.finish()
    fleet.ledger("gateway")   # what the receiver has of it
    member.verdict(fleet)     # and how that compares with what its simulator served

Every agent reads a plant of its own, all alike (`plant.py`).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from edge_agent.daemon import status
from edge_agent.errors import EdgeAgentError
from edge_agent.model import NS, MonoNs, Send, Site
from edge_agent.profiles import load_site
from edge_agent.simulator.log import Entry
from edge_agent.simulator.script import Setting, load_script
from edge_agent.simulator.serial_line import SimulatedLine
from edge_agent.simulator.truth import event_edges
from tests.contract.broker import Broker
from tests.e2e import account
from tests.e2e.ledger import Ledger
from tests.e2e.oracle import alarm_truth
from tests.e2e.plant import COMMIT_S, CONFIG, SCRIPT, WINDOW_S
from tests.e2e.receivers import RECEIVER
from tests.e2e.verdict import End, Life, Promise, Verdict
from tests.rigs.shim import Shim

PROMISE = Promise(commit_ns=round(COMMIT_S * NS), window_ns=round(WINDOW_S * NS))


def wait(
    condition: Callable[[], Any], timeout_s: float = 60.0, what: str = "condition", every_s: float = 0.1
) -> Any:
    """Until `condition` is true; its value. An agent that does not answer yet is not true."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            if result := condition():
                return result
        except (EdgeAgentError, FileNotFoundError):
            pass
        time.sleep(every_s)
    raise AssertionError(f"{what} did not come true in {timeout_s} s")


class Member:
    """One agent, its line, its spool, and what became of its runs."""

    def __init__(
        self, name: str, folder: Path, broker: Broker, *, seed: int, spool: Path | None, shim: Shim | None,
    ) -> None:  # fmt: skip
        self.name = name
        self.folder = folder
        self.folder.mkdir()
        self.spool = spool or folder / "spool"
        self.shim = shim
        self.lives: list[Life] = []
        self.process: subprocess.Popen[bytes] | None = None
        self._broker = broker
        self._started = self._frozen = 0
        self._still: tuple[tuple[int, int], ...] = ()
        script = folder / "line.toml"
        script.write_text(SCRIPT)
        devices = load_script(script, Setting(seed=seed)).devices
        link, served = folder / "tty", folder / "served.jsonl"
        self.line = SimulatedLine(devices, baud=115200, link=link, log=served, seed=seed).start()
        self.connect_to(broker.url)

    def connect_to(self, url: str) -> None:
        """Whom the next run sends to."""
        text = CONFIG.replace('id = "gateway"', f'id = "{self.name}"')
        places = {"line": self.line.path, "url": url, "spool": str(self.spool)}
        for place, value in places.items():
            text = text.replace("{" + place + "}", value)
        (self.folder / "agent.toml").write_text(text)

    @property
    def site(self) -> Site:
        return load_site(self.folder / "agent.toml")

    # --- its life ---------------------------------------------------------------------------------

    def start(self) -> None:
        assert self.process is None
        self._started = time.time_ns()
        arguments = ("--config", str(self.folder / "agent.toml"), "--socket", str(self.folder / "sock"))
        with (self.folder / "agent.log").open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "edge_agent", "run", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=os.environ | (self.shim.env if self.shim else {}),
            )

    def kill(self) -> None:
        """SIGKILL: nothing is said, nothing is flushed."""
        self._end(signal.SIGKILL, End.KILLED)

    def stop(self) -> None:
        """SIGTERM."""
        assert self._end(signal.SIGTERM, End.STOPPED) == 0, self.log[-2000:]

    def cut(self, power: Callable[[], None], slow_since: int | None = None) -> None:
        """`power` goes while the agent stands still, so that disk and agent end at one moment.
        `slow_since`: since when (wall ns) the disk was slowed down."""
        assert self.process is not None
        ended = time.time_ns()
        self.process.send_signal(signal.SIGSTOP)
        wait(lambda: self._state() in "Tt", what=f"{self.name} to stand still", every_s=0.001)
        power()
        self._end(signal.SIGKILL, End.CUT, ended, ended - slow_since if slow_since else 0)

    def freeze(self) -> None:
        assert self.process is not None
        self._frozen = time.time_ns()
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)
        self._still += ((self._frozen, time.time_ns()),)

    def _end(self, number: signal.Signals, end: End, ended: int = 0, slow_ns: int = 0) -> int:
        assert self.process is not None
        ended = ended or time.time_ns()
        self.process.send_signal(number)
        code = self.process.wait(30)
        self.process = None
        self.lives.append(Life(self._started, ended, end, slow_ns, self._still))
        return code

    def _state(self) -> str:
        """As in proc(5)."""
        assert self.process is not None
        return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0]

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.line.close()

    # --- looking ----------------------------------------------------------------------------------

    @property
    def log(self) -> str:
        path = self.folder / "agent.log"
        return path.read_text() if path.exists() else ""

    def status(self) -> dict[str, Any]:
        return status.fetch(self.folder / "sock")

    def problems(self) -> str:
        """What it says is wrong with its spool, in one line."""
        return "; ".join(text for text in self.status()["agent"]["problems"] if text.startswith("spool"))

    def counter(self, name: str) -> float:
        return sum(
            v for key, v in _flat(self.status()["counters"]) if key == name or key.startswith(f"{name}{{")
        )

    def is_up(self) -> bool:
        return {device["state"] for bus in self.status()["buses"] for device in bus["devices"]} == {"up"}

    def is_delivered(self) -> bool:
        """Connected, and nothing waits but what was read in the last moment."""
        now = self.status()
        return now["uplink"]["state"] == "connected" and sum(now["spool"]["unacked"].values()) <= 3

    def next_alarm_ns(self) -> int:
        """When (monotonic) the level next rises or falls over the alarm's limit."""
        now, start = time.monotonic_ns(), self.line.slave.start
        edges = event_edges(self.line.slave.devices, start, MonoNs(now), MonoNs(now + 10 * NS))
        return edges[0][0]

    def reads(self) -> int:
        """Requests its line has answered so far."""
        return sum(self.line.log.answers.values())

    def entries(self) -> list[Entry]:
        return self.line.log.entries()

    def polls_made(self) -> float:
        """As a share of those planned."""
        site = self.site
        return account.polls_made(
            site, account.truth_of(site.devices, self.entries(), Send.SAMPLES), self.lives
        )

    def verdict(self, found: Ledger, promise: Promise = PROMISE) -> Verdict:
        """The receiver's account of this agent against the simulator's."""
        site, entries = self.site, self.entries()
        samples = account.truth_of(site.devices, entries, Send.SAMPLES)
        summaries = account.truth_of(site.devices, entries, Send.SUMMARY)
        verdict = account.judge(samples, summaries, found, self.lives, promise)
        verdict.wrong += account.alarm_faults(alarm_truth(site, entries, "high"), found.changes, "high")
        return verdict


def _flat(counters: Any) -> Iterator[tuple[str, float]]:
    for key, value in counters.items():
        if isinstance(value, dict):
            yield from ((key, one) for _, one in _flat(value))
        else:
            yield key, value


class Fleet:
    """Broker and receiver are up as long as the block lasts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.broker = Broker(folder, persistent=True)
        self.members: dict[str, Member] = {}
        self._receiver = RECEIVER(folder)
        self._process: subprocess.Popen[bytes] | None = None

    def add(
        self, name: str, *, seed: int = 1, spool: Path | None = None, shim: Shim | None = None
    ) -> Member:  # fmt: skip
        member = Member(name, self.folder / name, self.broker, seed=seed, spool=spool, shim=shim)
        self.members[name] = member
        return member

    def __enter__(self) -> Fleet:
        self.broker.start()
        try:
            self._start_receiver()
        except BaseException:
            self.__exit__(None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for member in self.members.values():
            member.close()
            if kind is not None:
                print(f"--- {member.name}\n{member.log[-2500:]}")
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self.broker.__exit__()

    def _start_receiver(self) -> None:
        log_path = self.folder / "receiver.log"
        with (self.folder / "receiver.out").open("ab") as out, log_path.open("ab") as errors:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "edge_agent",
                    "receive",
                    "--url",
                    self.broker.url,
                    *self._receiver.arguments,
                ],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
            )
        # The broker keeps messages for a receiver only from its first subscription on.
        wait(lambda: "listening to" in log_path.read_text(), what="subscription")

    def each(self, play: Callable[[Member], None]) -> None:
        """`play` with every member, all at once; the first failure is raised when all are done."""
        with ThreadPoolExecutor(len(self.members)) as pool:
            for done in [pool.submit(play, member) for member in self.members.values()]:
                done.result()

    def finish(self) -> None:
        """Every agent delivers what it has and stops in order, the receiver takes the rest and says what
        is missing."""
        ended = self._end_well()
        # A receiver that lost its broker comes back when its back-off says so.
        for name, epoch in ended.items():
            wait(partial(self._receiver.has_stop, epoch), 60, f"the STOP of {name}")
        self._drain()
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(30) == 0

    def _end_well(self) -> dict[str, str]:
        """Each agent's last epoch."""
        ended: dict[str, str] = {}

        def end(member: Member) -> None:
            if member.process is None:
                member.start()
            wait(member.is_up, what=f"{member.name} to read")
            wait(member.is_delivered, 120, f"{member.name} to deliver")
            ended[member.name] = member.status()["agent"]["epoch"]
            member.stop()

        self.each(end)
        return ended

    def _drain(self) -> None:
        """Until the receiver has had nothing new for two seconds."""
        size, since = -1, time.monotonic()
        while time.monotonic() - since < 2:
            now = self._receiver.size()
            if now != size:
                size, since = now, time.monotonic()
            time.sleep(0.1)

    def ledger(self, name: str) -> Ledger:
        return self._receiver.ledger(name)
