"""The installed service in operation: the small plant of tests/e2e as its bus, a broker, a receiver, and an
account of its lives, by which in the end all that was served is there or declared lost.

    with Operation(gw, tmp_path) as it:
        it.begin()
        it.strike(signal.SIGKILL)
        it.reads_again()
        verdict = it.finish()
"""

from __future__ import annotations

import json
import os
import pty
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from edge_agent.model import NS, Send
from edge_agent.profiles import load_site
from edge_agent.simulator.script import Setting, load_script
from edge_agent.simulator.serial_line import SimulatedLine
from tests.e2e import account, ledger
from tests.e2e.ledger import Ledger
from tests.e2e.plant import COMMIT_S, CONFIG, SCRIPT, WINDOW_S
from tests.e2e.verdict import End, Life, Promise, Verdict
from tests.rigs.gateway import Gateway
from tests.rigs.outside import URL, Broker, Receiver

UNIT = "edge-agent.service"
FILE = "/etc/edge-agent/agent.toml"
PORT = "/dev/ttyUSB0"
AGENT = "gateway"
_PROMISE = Promise(commit_ns=round(COMMIT_S * NS), window_ns=round(WINDOW_S * NS))

Object = dict[str, Any]


class Operation:
    """One at a time in a gateway. Nothing is started, plugged or configured before it is told to."""

    def __init__(self, gw: Gateway, folder: Path, *, url: str = URL, config: str = CONFIG) -> None:
        self.gw = gw
        self._folder = folder
        places = {"line": PORT, "url": url, "spool": "/var/lib/edge-agent/spool"}
        for place, value in places.items():
            config = config.replace("{" + place + "}", value)
        self._config = folder / "agent.toml"
        self._config.write_text(config)
        script = folder / "line.toml"
        script.write_text(SCRIPT)
        self.line = SimulatedLine(
            load_script(script, Setting(seed=1)).devices,
            baud=115200,
            link=folder / "tty",
            log=folder / "served.jsonl",
        )
        self.broker = Broker(gw, folder)
        self.receiver = Receiver(gw, folder)
        self.lives: list[Life] = []
        self._since = 0
        self._pty = ""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(self.line)
        self._stack.callback(self.broker.__exit__)
        self._stack.callback(self.receiver.__exit__)
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    # --- its course -------------------------------------------------------------------------------

    def configure(self) -> None:
        self.gw.copy_in(self._config, FILE, owner="root:edge-agent", mode=0o640)

    def plug(self) -> None:
        self._pty = os.path.realpath(self.line.path)
        self.gw.plug(self._pty)

    def start_receiving(self) -> None:
        self.broker.start()
        self.receiver.start()

    def enable(self) -> None:
        self._since = time.time_ns()
        self.gw.run("systemctl", "enable", "--now", UNIT)

    def begin(self) -> None:
        """All of it, until values arrive."""
        self.configure()
        self.plug()
        self.start_receiving()
        self.enable()
        self.reads_again()

    def strike(self, number: signal.Signals) -> None:
        """A signal that ends its life, sent at once: its end is known to the moment."""
        pid = self.gw.host_pid(self.gw.main_pid(UNIT))
        self._ends(End.KILLED)
        os.kill(pid, number)

    def cut_power(self) -> None:
        """A system takes a while to die, so the service stands still before: a power cut is a moment."""
        pid = self.gw.host_pid(self.gw.main_pid(UNIT))
        self._ends(End.KILLED)
        os.kill(pid, signal.SIGSTOP)
        self.gw.power_cut()

    def was_restarted(self) -> None:
        """In order, by what takes its time, such as an upgrade: it ran on until systemd stopped it."""
        name = "ActiveExitTimestampMonotonic"
        ago = time.monotonic_ns() - 1000 * int(self.gw.properties(UNIT, name)[name])
        self._ends(End.STOPPED, time.time_ns() - ago)

    def _ends(self, how: End, when: int = 0) -> None:
        """Its present life is over, now or `when`; the next one may begin at any moment after."""
        when = when or time.time_ns()
        self.lives.append(Life(self._since, when, how))
        self._since = when

    def replug(self) -> None:
        """The adapter comes back as another device file than the one it was."""
        with _taken(self._pty):
            self.line.replug()
        self.plug()

    def finish(self) -> Verdict:
        """Stop the service in order, let the receiver take the rest; what it has against what was served."""
        self._ends(End.STOPPED)
        self.gw.run("systemctl", "stop", UNIT)
        self.gw.wait(lambda: self.receiver.of_kind("stop"), "a record of the stop")
        self.receiver.finish()
        site = load_site(self._config)
        entries = self.line.log.entries()
        samples = account.truth_of(site.devices, entries, Send.SAMPLES)
        summaries = account.truth_of(site.devices, entries, Send.SUMMARY)
        return account.judge(samples, summaries, self.ledger(), self.lives, _PROMISE)

    # --- looking ----------------------------------------------------------------------------------

    def reads_again(self) -> None:
        """Until the receiver has a good value that was read from now on."""
        now = time.time()
        self.gw.wait(
            lambda: any(item["t"] > now and item["quality"] == "good" for item in self._samples()),
            "a good value at the receiver",
        )

    def status(self) -> Object:
        """Empty while it does not answer."""
        told = self.gw.enter("edge-agent", "status", "--json", check=False)
        with suppress(json.JSONDecodeError):
            return dict(json.loads(told.out))
        return {}

    def is_bus(self, state: str) -> bool:
        return [bus["state"] for bus in self.status().get("buses", [])] == [state]

    def has_said(self, message: str) -> bool:
        """Whether the journal has it, of the service or of systemd on it, since the last boot."""
        return message in self.gw.journal(UNIT, "-b")

    def ledger(self) -> Ledger:
        return ledger.of_objects(self.receiver.objects, AGENT)

    def _samples(self) -> list[Object]:
        return self.receiver.of_kind("sample") if self.receiver.out.exists() else []


@contextmanager
def _taken(name: str) -> Iterator[None]:
    """Nobody gets the pseudo-terminal of this name now: the kernel gives the lowest number that is free."""
    pairs = [pty.openpty()]
    try:
        while _number(os.ttyname(pairs[-1][1])) < _number(name):
            pairs.append(pty.openpty())
        yield
    finally:
        for fd in (fd for pair in pairs for fd in pair):
            os.close(fd)


def _number(name: str) -> int:
    return int(Path(name).name)
