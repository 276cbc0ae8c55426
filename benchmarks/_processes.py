"""Processes to be measured: what they need, what they cost, and the simulated line they read from.

Everything is read from outside, the same way for every contender: the kernel's figures of the process,
and the simulator's count of the requests it answered.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from _common import ROOT

from edge_agent.daemon import status
from edge_agent.errors import EdgeAgentError

PEERS = ROOT / "benchmarks" / "peers"
MOSQUITTO = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin") or "mosquitto"
Command = Sequence[str | Path]
_AGENT: Sequence[str] = (sys.executable, "-m", "edge_agent")
UNITS = 2
POINTS = 50
"""Per unit; as f32 the 100 registers of one request."""
REGISTERS = 2 * POINTS


def compiled(folder: Path, name: str, *options: str) -> Path:
    """The program of benchmarks/c/NAME.c, built into `folder` once."""
    program = folder / name
    if program.exists():
        return program
    source = ROOT / "benchmarks" / "c" / f"{name}.c"
    subprocess.run(["cc", "-O2", "-o", program, source, *options], check=True)
    return program


@dataclass(slots=True)
class Bench:
    """Where things lie and whom the daemons talk to."""

    folder: Path
    url: str
    _count: int = field(default=0)

    def place(self, name: str) -> Path:
        self._count += 1
        folder = self.folder / f"{name}-{self._count}"
        folder.mkdir()
        return folder


def rss_mib(pid: int) -> float:
    """Resident memory, with what is shared with others."""
    found = re.search(r"^VmRSS:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found, f"process {pid} has ended"
    return int(found[1]) / 1024


def cpu_ns(pid: int) -> int:
    """User and system time of all threads, also of those that ended.

    /proc/PID/stat counts in 10 ms; the process's own clock counts in ns. Its id is made as
    clock_getcpuclockid(3) does: the complement of the process id and "scheduler's time".
    """
    return time.clock_gettime_ns((~pid << 3) | 2)


@contextmanager
def running(command: Command, log: Path, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A child for as long as the block; what it says on stderr goes to `log`. Bytecode may be cached."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with log.open("ab") as errors:
        child = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.DEVNULL, stderr=errors, env=env, text=True,
            **{"stdout": subprocess.DEVNULL, **options},
        )  # fmt: skip
    try:
        yield child
    finally:
        ended = child.poll()
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if ended is not None:
            raise RuntimeError(f"{command[:3]} ended by itself: {log.read_text()[-1000:]}")


# --- the line -----------------------------------------------------------------------------------


def script(signal_of_points: str = "{ constant = 100.0, noise = 5.0 }") -> str:
    """Two devices of 50 f32 points each."""
    lines = []
    for unit in range(1, UNITS + 1):
        lines += [f"[device.unit_{unit}]", f"unit_id = {unit}", f"[device.unit_{unit}.point]"]
        lines += [
            f'p{i} = {{ area = "holding", address = {2 * i}, type = "f32", signal = {signal_of_points} }}'
            for i in range(POINTS)
        ]
    return "\n".join(lines) + "\n"


class Speaker:
    """A child that prints one JSON object a line, and a report at SIGUSR1."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self._child = child

    def ask(self) -> None:
        self._child.send_signal(signal.SIGUSR1)

    def event(self, name: str) -> dict[str, Any]:
        """The next one of this name."""
        assert self._child.stdout is not None
        for text in self._child.stdout:
            event: dict[str, Any] = json.loads(text)
            if event["event"] == name:
                return event
        raise RuntimeError(f"{self._child.args!r} has ended")


class Line:
    """`edge-agent simulate` as a process of its own."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self._speaker = Speaker(child)
        self.path: str = self._speaker.event("port")["path"]

    def answered(self) -> int:
        """Replies so far, counted at most a millisecond before this returns."""
        self._speaker.ask()
        return self._speaker.event("report")["answers"].get("values", 0)


@contextmanager
def simulated(folder: Path, *options: str, devices: str | None = None) -> Iterator[Line]:
    path = folder / "script.toml"
    path.write_text(script() if devices is None else devices)
    with running(
        [*_AGENT, "simulate", "--json", "--script", path, *options],
        folder / "simulator.log",
        stdout=subprocess.PIPE,
    ) as child:
        yield Line(child)


# --- who reads from it --------------------------------------------------------------------------


def agent_id(folder: Path) -> str:
    """Of the daemon that lives in `folder`: two with one id would take the broker from each other."""
    return f"{folder.parent.name}-{folder.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What every contender is to do: read 100 registers of each unit once a period, or without a pause."""

    port: str
    baud: int = 115200
    units: int = UNITS
    period_s: float = 1.0
    """0: continuously."""
    registers: int = REGISTERS
    """Of each unit, two for each point of the daemon."""
    max_load: float | None = None
    """What the daemon may use of the line; None: its default."""

    def peer(self, name: str) -> Command:
        return [sys.executable, PEERS / f"{name}_poll.py", *self._words()]

    def node(self, name: str) -> Command:
        return ["node", PEERS / f"{name}_poll.js", *self._words()]

    def _words(self) -> Sequence[str]:
        words = [self.port, self.baud, self.units, self.registers, self.period_s]
        return [*map(str, words)]

    def program(self, program: Path) -> Command:
        """A loop in C, which reads one unit only."""
        return [program, self.port, str(self.baud), "1", str(self.registers)]

    def daemon(self, folder: Path, url: str, extra: str = "") -> Command:
        """Writes the configuration and a fresh spool into `folder`."""
        return daemon(folder, url, self._config() + extra)

    def _config(self) -> str:
        poll = f"{round(self.period_s * 1000)}ms" if self.period_s else "continuous"
        lines = ["[bus.line]", f'serial = "{self.port}"', f"baud = {self.baud}"]
        if self.max_load is not None:
            lines += [f"max_load = {self.max_load}"]
        for unit in range(1, self.units + 1):
            lines += [f"[device.unit_{unit}]", 'bus = "line"', f"unit_id = {unit}"]
            lines += [f"[device.unit_{unit}.point]"]
            lines += [
                f'p{i} = {{ area = "holding", address = {2 * i}, type = "f32", poll = "{poll}" }}'
                for i in range(self.registers // 2)
            ]
        return "\n".join(lines) + "\n"


def daemon(folder: Path, url: str, buses: str) -> Command:
    """Writes a configuration with these buses, devices and alarms into `folder`, and how it is run."""
    head = [
        "[agent]", 'site = "bench"', f'id = "{agent_id(folder)}"',
        "[summary]", 'window = "10s"',
        "[uplink]", f'url = "{url}"',
        "[spool]", f'path = "{folder / "spool"}"',
    ]  # fmt: skip
    config = folder / "agent.toml"
    config.write_text("\n".join(head) + "\n" + buses)
    return [*_AGENT, "run", "--config", config, "--socket", folder / "status.sock"]


def check_at_work(socket: Path) -> None:
    """A daemon that does not work would cost too little."""
    seen = status.fetch(socket)
    assert seen["agent"]["kernels"] == "native", seen["agent"]
    assert seen["uplink"]["state"] == "connected", seen["uplink"]
    assert {device["state"] for bus in seen["buses"] for device in bus["devices"]} == {"up"}, seen["buses"]


def wait_at_work(socket: Path, patience_s: float = 10.0) -> None:
    """Until the daemon of this status socket is connected and reads all its devices."""
    give_up = time.monotonic() + patience_s
    while True:
        try:
            return check_at_work(socket)
        except (AssertionError, EdgeAgentError):
            if time.monotonic() > give_up:
                raise
            time.sleep(0.05)


# --- the broker ---------------------------------------------------------------------------------


@contextmanager
def broker(folder: Path) -> Iterator[str]:
    """A mosquitto on loopback: its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    with running([MOSQUITTO, "-c", config], folder / "mosquitto.log"):
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.01)
        yield f"mqtt://127.0.0.1:{port}"
