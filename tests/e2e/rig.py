"""The whole chain for tests: simulated line, agent and receiver as processes, a real mosquitto.

with Rig(tmp_path, script=..., config=...) as rig:
    rig.start_agent(); ...; rig.kill_agent(); ...
    rig.finish()
    rig.objects   # everything the receiver printed
    rig.served()  # everything the simulator served
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_agent.daemon import status
from edge_agent.errors import EdgeAgentError
from edge_agent.model import Site
from edge_agent.profiles import load_site
from edge_agent.simulator import log
from edge_agent.simulator.log import Entry
from edge_agent.simulator.script import Setting, load_script
from edge_agent.simulator.serial_line import SimulatedLine
from tests.contract.broker import Broker

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """One life of the agent, by the wall clock (ns)."""

    started: int
    ended: int
    killed: bool


class Rig:
    """`scripts`: one simulated line each. `config`: a TOML text with the places {<line>}, {url}, {spool}."""

    def __init__(
        self,
        folder: Path,
        *,
        scripts: Mapping[str, str],
        config: str,
        seed: int = 1,
        baud: int = 115200,
        chunks: str = "fifo",
    ) -> None:
        self.folder = folder
        self.lines = {name: self._line(name, text, seed, baud, chunks) for name, text in scripts.items()}
        self.broker = Broker(folder, persistent=True)
        self._config = config
        self.config_path = folder / "agent.toml"
        self.socket = folder / "status.sock"
        self.runs: list[Run] = []
        self._agent: subprocess.Popen[bytes] | None = None
        self._started = 0
        self._receiver: subprocess.Popen[bytes] | None = None

    def _line(self, name: str, script: str, seed: int, baud: int, chunks: str) -> SimulatedLine:
        path = self.folder / f"{name}.toml"
        path.write_text(script)
        devices = load_script(path, Setting(seed=seed)).devices
        link, served = self.folder / f"tty-{name}", self.folder / f"{name}.jsonl"
        return SimulatedLine(devices, baud=baud, chunks=chunks, link=link, log=served, seed=seed)

    def __enter__(self) -> Rig:
        self.broker.start()
        for line in self.lines.values():
            line.start()
        self.write_config(self._config)
        self.start_receiver()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for process in (self._agent, self._receiver):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
        for line in self.lines.values():
            line.close()
        self.broker.__exit__()
        if kind is not None:
            print((self.folder / "agent.log").read_text()[-4000:])

    def write_config(self, config: str) -> None:
        places: dict[str, object] = {"url": self.broker.url, "spool": self.folder / "spool"}
        places |= {name: line.path for name, line in self.lines.items()}
        for place, value in places.items():
            config = config.replace("{" + place + "}", str(value))
        self.config_path.write_text(config)

    @property
    def site(self) -> Site:
        return load_site(self.config_path)

    # --- processes ------------------------------------------------------------------------------

    def start_agent(self, *options: str) -> None:
        self._started = time.time_ns()
        where = ("--config", str(self.config_path), "--socket", str(self.socket))
        self._agent = self._spawn("agent", "run", *where, *options)

    def kill_agent(self) -> None:
        """SIGKILL: nothing is said, nothing is flushed."""
        self._end_agent(signal.SIGKILL)

    def stop_agent(self) -> int:
        """SIGTERM; the exit status."""
        return self._end_agent(signal.SIGTERM)

    def _end_agent(self, number: signal.Signals) -> int:
        assert self._agent is not None
        ended = time.time_ns()
        self._agent.send_signal(number)
        code = self._agent.wait(30)
        self.runs.append(Run(self._started, ended, number is signal.SIGKILL))
        self._agent = None
        return code

    def start_receiver(self) -> None:
        self._receiver = self._spawn("receiver", "receive", "--url", self.broker.url, "--json")
        # The broker keeps messages for a receiver only from its first subscription on.
        self.wait(lambda: "listening to" in (self.folder / "receiver.log").read_text(), what="subscription")

    def _spawn(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.out").open("ab") as out, (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "edge_agent", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )

    # --- looking --------------------------------------------------------------------------------

    def status(self) -> Object:
        return status.fetch(self.socket)

    @property
    def objects(self) -> list[Object]:
        """Everything the receiver has printed so far."""
        text = (self.folder / "receiver.out").read_text()
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def of_kind(self, kind: str) -> list[Object]:
        return [item for item in self.objects if item["kind"] == kind]

    def served(self, line: str = "line") -> list[Entry]:
        return log.read(self.folder / f"{line}.jsonl")

    def wait(self, condition: Callable[[], Any], timeout_s: float = 30.0, what: str = "condition") -> Any:
        """Until `condition` is true; its value."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            try:
                if result := condition():
                    return result
            except (EdgeAgentError, FileNotFoundError):
                pass
            time.sleep(0.1)
        raise AssertionError(f"{what} did not come true in {timeout_s} s")

    def finish(self) -> Object:
        """Stop the agent in order, let the receiver take the rest, stop it; its closing object."""
        if self._agent is not None:
            assert self.stop_agent() == 0
        self.wait(lambda: self.of_kind("status")[-1].get("reason") == "stopped", what="offline status")
        self._drain()
        assert self._receiver is not None
        self._receiver.send_signal(signal.SIGTERM)
        assert self._receiver.wait(10) == 0
        return self.of_kind("end")[-1]

    def _drain(self) -> None:
        """Until the receiver's output has not grown for two seconds."""
        size, since = -1, time.monotonic()
        while time.monotonic() - since < 2:
            now = (self.folder / "receiver.out").stat().st_size
            if now != size:
                size, since = now, time.monotonic()
            time.sleep(0.1)
