"""The first run as a technician has it: a fresh system, the package, `init --yes`, records at a receiver.

    with FirstRun(roots.unpacked("bookworm"), deb, tmp_path) as run:
        run.course.as_json()     # seconds from the first key stroke on

For the tests, and for who measures (`benchmarks/`). What happens is recorded as it happens, to be looked at
afterwards; the gateway goes on to run.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from edge_agent.profiles import default_library
from edge_agent.simulator import SimulatedLine
from edge_agent.simulator.catalogue import device_of
from tests.rigs import gateway
from tests.rigs.gateway import Done
from tests.rigs.outside import URL, Broker, Receiver

METER = 1
"""The unit id of the one device on the line, an energy meter whose profile is known."""
INIT = (
    "edge-agent", "init", "--yes", "--port", "/dev/ttyUSB0", "--baud", "19200", "--format", "8N1",
    "--units", "1-3", "--site", "plant-a", "--broker", URL,
)  # fmt: skip
VALUES = ("sample", "summary")


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """Seconds from the start of `apt-get install` until each was so."""

    installed_s: float
    configured_s: float
    """`init` has ended: it has found the device, started the service and shown values."""
    first_record_s: float
    first_value_s: float

    def as_json(self) -> dict[str, float]:
        return {name: round(seconds, 2) for name, seconds in asdict(self).items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unconfigured:
    """What was there after the installation, before anybody had configured anything."""

    unit: dict[str, str]
    requests: int
    """Heard by the devices on the line."""
    clients: int
    """Seen by the broker beside the receiver."""
    state: str
    failed: str


class FirstRun:
    """Runs the whole course when entered."""

    def __init__(self, root: Path, deb: Path, folder: Path) -> None:
        self._root, self._deb, self._folder = root, deb, folder
        self._stack = ExitStack()
        self.init: Done
        self.course: Course
        self.unconfigured: Unconfigured

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            meter = device_of(default_library().get("eastron/sdm630"), "meter", METER)
            link, served = self._folder / "tty", self._folder / "served.jsonl"
            self.line = stack.enter_context(SimulatedLine([meter], baud=19200, link=link, log=served))
            self.gw = stack.enter_context(gateway.boot(self._root))
            self.broker = stack.enter_context(Broker(self.gw, self._folder))
            self.receiver = stack.enter_context(Receiver(self.gw, self._folder))
            self.gw.plug(os.path.realpath(self.line.path))
            self._run()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def _run(self) -> None:
        began = time.monotonic()
        self.gw.install(self._deb)
        installed = time.monotonic()
        self.unconfigured = self._look()
        # Looking is the test's business, not the technician's.
        began += time.monotonic() - installed
        installed = time.monotonic()
        with ThreadPoolExecutor() as pool:
            record = pool.submit(self._first, "start")
            value = pool.submit(self._first, *VALUES)
            self.init = self.gw.run(*INIT)
            configured = time.monotonic()
        self.course = Course(
            installed_s=installed - began,
            configured_s=configured - began,
            first_record_s=record.result() - began,
            first_value_s=value.result() - began,
        )

    def _first(self, *kinds: str) -> float:
        """When a record of one of the kinds was at the receiver."""
        # A window of summaries is a minute long.
        self.gw.wait(lambda: any(map(self.receiver.of_kind, kinds)), f"a first {kinds}", timeout_s=100)
        return time.monotonic()

    def _look(self) -> Unconfigured:
        return Unconfigured(
            unit=self.gw.properties("edge-agent", "LoadState", "UnitFileState", "ActiveState"),
            requests=self.line.log.answers.total(),
            clients=self.broker.log.read_text().count("New client connected") - 1,
            state=self.gw.enter("systemctl", "is-system-running", check=False).out.strip(),
            failed=self.gw.enter("systemctl", "list-units", "--failed", "--plain", "--no-legend").out,
        )
